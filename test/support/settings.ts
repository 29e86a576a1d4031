import { loadConfig } from '../../src/config.ts'
import { secret } from './app.ts'

/** The settings that every replica needs. */
export const servers = {
  DATABASE_URL: 'postgres://me:hush@db.example:5432/app',
  REDIS_URL: 'redis://:hush@redis.example:6379/0',
  ISSUER: 'https://auth.example.com',
  KEY_ENCRYPTION_SECRET: secret
}

/** Returns those settings without some of them. */
export const without = (...names: string[]): Record<string, string> =>
  Object.fromEntries(Object.entries(servers).filter(([name]) => !names.includes(name)))

/** Settings for other topologies of Redis. */
export const sentinels = {
  REDIS_SENTINELS: 'rediss://watcher:hush@s1.example,rediss://watcher:hush@s2.example:26380',
  REDIS_MASTER_NAME: 'mymaster'
}
export const cluster = { REDIS_CLUSTER_NODES: 'n1.example:7000, [::1]:7001,n3.example' }

/** Returns the message with which settings are refused. */
export function refusalOf (env: Record<string, string>): string {
  try {
    loadConfig(env)
  } catch (error) {
    return (error as Error).message
  }
  return 'it was accepted'
}

/** Values that each variable refuses. */
export const wrongValues: Record<string, string[]> = {
  HOST: ['a host', 'a/b'],
  PORT: ['abc', '-1', '65536', '80.5', '0x50', '1e3', ' '],
  DOCS: ['no', 'ON'],
  LOG_LEVEL: ['loud', 'INFO'],
  LOG_REQUESTS: ['none', 'ALL'],
  SHUTDOWN_DELAY: ['-1', '601', '5s'],
  REDIS_SENTINELS: ['a b', 'http://s1', 's1:26379,', 's1/hush', 's1:26379?a=hush', 'redis://:p%ss@s1', 's1:port'],
  REDIS_MASTER_NAME: ['my master', 'x'.repeat(256)],
  REDIS_CLUSTER_NODES: ['redis://n1/1', 'n1:7000,,n2', 'n1;n2', 'n1:7000 n2:7000'],
  REDIS_USERNAME: ['a name'],
  REDIS_PASSWORD: ['x'.repeat(4097)],
  REDIS_NOEVICTION_ACKNOWLEDGED: ['true', 'YES'],
  DATABASE_URL: ['db.example', 'mysql://db.example/app', 'postgres//db'],
  REDIS_URL: [
    'redis.example:6379',
    'http://redis.example',
    'redis:hush',
    'redis://:p%ss@redis.example',
    'redis://redis.example/0x5',
    'redis://redis.example/1e1',
    'redis://redis.example/one'
  ],
  ISSUER: [
    'auth.example.com',
    'ftp://auth.example.com',
    'https://auth.example.com/?a=b',
    'https://auth.example.com/#a'
  ],
  AUDIENCE: ['x'.repeat(256)],
  ACCESS_TOKEN_TTL: ['0', '-5', '15m', '2592001'],
  SIGNING_ALGORITHM: ['HS256', 'none', 'eddsa'],
  JWKS_MAX_AGE: ['0', '86401'],
  KEY_ROTATION_INTERVAL: ['-1', '30d'],
  CLOCK_LEEWAY: ['-1', '301', 'five'],
  KEY_ENCRYPTION_SECRET: ['short', 'x'.repeat(31)],
  KEY_ENCRYPTION_SECRET_PREVIOUS: ['short', 'x'.repeat(31)],
  BLOCKLIST_DEADLINE_MS: ['9', '10001', '250ms'],
  BLOCKLIST_WAIT_REPLICAS: ['-1', '11', 'all'],
  BLOCKLIST_PREFIX: ['with space', '{tag}', 'x'.repeat(65), 'a*'],
  PASSWORD_MIN_LENGTH: ['7', '129'],
  PASSWORD_HASH_MEMORY: ['19455', '1048577'],
  PASSWORD_HASH_PASSES: ['1', '21'],
  TRUST_PROXY: [
    'true', '1', 'proxy.example', '10.0.0.0/33', '::/129', '10.0.0.0/8/8', '10.0.0.1,', '0.0.0.0/0', '::/0'
  ],
  DATABASE_DEADLINE_MS: ['99', '60001'],
  MIGRATE_ON_START: ['false', 'NO'],
  REGISTRATION: ['close', 'invite'],
  REFRESH_TOKEN_TTL: ['0', '31536001', '14d'],
  SESSION_MAX_AGE: ['0', '31536001'],
  REFRESH_GRACE: ['-1', '301'],
  REFRESH_REPEAT_MAX: ['-1', '86401'],
  REAUTHENTICATION_MAX_AGE: ['-1', '31536001'],
  MAX_SESSIONS: ['0', '1001'],
  SESSION_RETENTION: ['-1', '31536001'],
  SECURITY_EVENT_RETENTION: ['3599', '315360001'],
  CORS_ORIGINS: [
    '*', 'null', 'app.example.com', 'https://app.example.com/', 'https://app.example.com/app',
    'https://APP.example.com', 'HTTPS://app.example.com', 'https://app.example.com:443', 'http://app.example.com:80',
    'https://me@app.example.com',
    'https://app.example.com?a', 'https://app.example.com#a', 'https://*.example.com', 'https://bücher.example',
    'https://a.example,', 'https://a.example https://b.example', 'file:///app', 'ftp://app.example.com', 'https://'
  ],
  COOKIES: ['yes', 'ON', 'strict'],
  HSTS_MAX_AGE: ['-1', '63072001', '1y'],
  RATE_LIMITS: ['none', 'ON', 'false'],
  LIMIT_PASSWORD_BY_ACCOUNT: ['50', '0/900', '50/0', '50/15m'],
  LIMIT_PASSWORD_BY_IP: ['-1/900', '1/2/3'],
  LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: ['1 / 2', '10/'],
  LIMIT_PASSWORD_BY_NETWORK: ['300/', '0/1'],
  LIMIT_PASSWORD_IN_A_ROW: ['100', '100/30d'],
  LIMIT_LOGIN_BY_ACCOUNT: ['off', '100/-1'],
  LIMIT_REGISTER_BY_NETWORK: ['300/1.5', '/60'],
  LIMIT_REFRESH_BY_ACCOUNT: ['0/0', 'many/60'],
  LIMIT_CLIENT_BY_IP: ['100', 'off'],
  LIMIT_REGISTER_BY_IP: ['/900', '10000000/1'],
  LIMIT_REFRESH_BY_SESSION: ['off', '1/10000000'],
  METRICS_PORT: ['-1', '65536', 'yes'],
  METRICS_TOKEN: [
    'fifteen-letters',
    'a token with spaces in it',
    'sixteen-letters-é',
    'sixteen-letters-!',
    'x=sixteen-letters',
    '='.repeat(16),
    'x'.repeat(513)
  ]
}

/** The limits, each with its attempts and the seconds of its window. */
export const rates = (limits: Record<string, [number, number]>) =>
  Object.fromEntries(Object.entries(limits).map(([name, [attempts, windowSeconds]]) =>
    [name, { attempts, windowSeconds }]
  ))

/** The limits that the test of every variable sets. */
export const minutes = rates({
  'password-by-account': [5, 60],
  'password-by-ip': [6, 60],
  'password-by-account-and-ip': [7, 60],
  'password-by-network': [8, 60],
  'password-in-a-row': [9, 60],
  'login-by-account': [10, 60],
  'register-by-ip': [11, 60],
  'register-by-network': [12, 60],
  'refresh-by-session': [13, 60],
  'refresh-by-account': [14, 60],
  'client-by-ip': [15, 60]
})
