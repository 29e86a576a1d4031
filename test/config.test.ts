import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import t from 'tap'
import { loadConfig, type Storage } from '../src/config.ts'
import { Settings } from '../src/settings/settings.ts'
import { describeUrl } from '../src/input/describe-url.ts'
import { packageRoot } from '../src/package-root.ts'
import { secret } from './support/app.ts'
import { cluster, minutes, rates, refusalOf, sentinels, servers, without, wrongValues } from './support/settings.ts'

/** The variables of a primary behind sentinels. */
const behindSentinels = {
  ...sentinels, REDIS_USERNAME: 'service', REDIS_PASSWORD: 'hush', REDIS_TLS_CA: '/etc/ca.pem'
}

const previousSecret = 'the secret before, of more than 32 bytes'

/** Every other variable but that of a cluster, each with a value that is not its default. */
const origins = [
  'https://app.example.com', 'http://localhost:5173', 'https://xn--bcher-kva.example', 'http://[::1]:8080'
]
const values = {
  ...servers,
  HOST: '::1',
  PORT: '8080',
  DOCS: 'off',
  LOG_LEVEL: 'warn',
  LOG_REQUESTS: 'errors',
  SHUTDOWN_DELAY: '5',
  REDIS_NOEVICTION_ACKNOWLEDGED: 'yes',
  DATA_DIR: '/var/lib/signout',
  AUDIENCE: 'the-api',
  ACCESS_TOKEN_TTL: '60',
  SIGNING_ALGORITHM: 'ES256',
  JWKS_MAX_AGE: '60',
  KEY_ROTATION_INTERVAL: '86400',
  KEY_ENCRYPTION_SECRET_PREVIOUS: previousSecret,
  CLOCK_LEEWAY: '0',
  BLOCKLIST_DEADLINE_MS: '100',
  BLOCKLIST_WAIT_REPLICAS: '2',
  BLOCKLIST_PREFIX: 'mine:',
  PASSWORD_MIN_LENGTH: '8',
  PASSWORD_DENYLIST_FILE: '/etc/words.txt',
  PASSWORD_HASH_MEMORY: '65536',
  PASSWORD_HASH_PASSES: '3',
  TRUST_PROXY: '10.0.0.0/8, ::1,192.168.1.1',
  DATABASE_DEADLINE_MS: '500',
  MIGRATE_ON_START: 'no',
  REGISTRATION: 'closed',
  REFRESH_TOKEN_TTL: '120',
  SESSION_MAX_AGE: '240',
  REFRESH_GRACE: '0',
  REFRESH_REPEAT_MAX: '20',
  REAUTHENTICATION_MAX_AGE: '30',
  MAX_SESSIONS: '3',
  SESSION_RETENTION: '0',
  SECURITY_EVENT_RETENTION: '3600',
  CORS_ORIGINS: origins.join(', '),
  COOKIES: 'on',
  HSTS_MAX_AGE: '31536000',
  RATE_LIMITS: 'off',
  LIMIT_PASSWORD_BY_ACCOUNT: '5/60',
  LIMIT_PASSWORD_BY_IP: '6/60',
  LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '7/60',
  LIMIT_PASSWORD_BY_NETWORK: '8/60',
  LIMIT_PASSWORD_IN_A_ROW: '9/60',
  LIMIT_LOGIN_BY_ACCOUNT: '10/60',
  LIMIT_REGISTER_BY_IP: '11/60',
  LIMIT_REGISTER_BY_NETWORK: '12/60',
  LIMIT_REFRESH_BY_SESSION: '13/60',
  LIMIT_REFRESH_BY_ACCOUNT: '14/60',
  LIMIT_CLIENT_BY_IP: '15/60',
  METRICS_PORT: '9464',
  METRICS_TOKEN: 'a-token-for-those-who-scrape'
}

const month = 2_592_000

const noBrowsers = { corsOrigins: [], hasCookies: false, hstsMaxAgeSeconds: 0 }

const defaultRates = rates({
  'password-by-account': [50, 900],
  'password-by-ip': [100, 900],
  'password-by-account-and-ip': [10, 900],
  'password-by-network': [300, 900],
  'password-in-a-row': [100, month],
  'login-by-account': [200, 3600],
  'register-by-ip': [100, 3600],
  'register-by-network': [300, 3600],
  'refresh-by-session': [120, 60],
  'refresh-by-account': [480, 60],
  'client-by-ip': [100, 900]
})

t.test('an empty environment configures the embedded mode with its defaults', async t => {
  t.same(loadConfig({}), {
    http: { host: '127.0.0.1', port: 3000, trustProxy: undefined, shutdownDelaySeconds: 0, hasDocs: true },
    browsers: noBrowsers,
    log: { level: 'info', requests: 'all' },
    storage: { kind: 'embedded', dataDir: '.signout', keyEncryptionSecret: undefined },
    database: { deadlineMs: 2000, migratesOnStart: true },
    tokens: { issuer: 'http://127.0.0.1:3000', audience: 'http://127.0.0.1:3000', lifetimeSeconds: 900 },
    keys: { algorithm: 'EdDSA', jwksMaxAgeSeconds: 300, rotationIntervalSeconds: 0, previousSecret: undefined },
    clocks: { leewaySeconds: 5 },
    accounts: { isRegistrationOpen: true },
    sessions: {
      idleSeconds: 1_209_600,
      maxAgeSeconds: month,
      graceSeconds: 10,
      repeatMaxSeconds: 3_600,
      reauthenticationMaxAgeSeconds: 600,
      maxPerUser: 100,
      retentionSeconds: month
    },
    passwords: { minLength: 15, denylistFile: undefined, hashCost: { memoryCost: 19_456, timeCost: 2 } },
    securityEvents: { retentionSeconds: 7_776_000 },
    blocklist: { prefix: 'signout:', deadlineMs: 250, waitReplicas: 0, noevictionAcknowledged: false },
    limits: {
      isOn: true,
      rates: defaultRates
    },
    metrics: { port: undefined, token: undefined }
  })
})

t.test('an empty variable counts as unset', async t => {
  t.same(loadConfig({ PORT: '', REDIS_URL: '', DATABASE_URL: '', TRUST_PROXY: '' }), loadConfig({}))
})

t.test('every environment variable is read into the configuration', async t => {
  t.same(
    Object.keys({ ...values, ...behindSentinels, ...cluster }).sort(),
    Object.keys(Settings.properties).sort(),
    'this test knows all of them'
  )
  t.same(loadConfig(values), {
    http: {
      host: '::1', port: 8080, trustProxy: ['10.0.0.0/8', '::1', '192.168.1.1'], shutdownDelaySeconds: 5, hasDocs: false
    },
    browsers: { corsOrigins: origins, hasCookies: true, hstsMaxAgeSeconds: 31_536_000 },
    log: { level: 'warn', requests: 'errors' },
    storage: {
      kind: 'servers',
      databaseUrl: servers.DATABASE_URL,
      redis: { kind: 'standalone', url: servers.REDIS_URL },
      keyEncryptionSecret: secret
    },
    database: { deadlineMs: 500, migratesOnStart: false },
    tokens: { issuer: servers.ISSUER, audience: 'the-api', lifetimeSeconds: 60 },
    keys: { algorithm: 'ES256', jwksMaxAgeSeconds: 60, rotationIntervalSeconds: 86_400, previousSecret },
    clocks: { leewaySeconds: 0 },
    accounts: { isRegistrationOpen: false },
    sessions: {
      idleSeconds: 120,
      maxAgeSeconds: 240,
      graceSeconds: 0,
      repeatMaxSeconds: 20,
      reauthenticationMaxAgeSeconds: 30,
      maxPerUser: 3,
      retentionSeconds: 0
    },
    passwords: { minLength: 8, denylistFile: '/etc/words.txt', hashCost: { memoryCost: 65_536, timeCost: 3 } },
    securityEvents: { retentionSeconds: 3600 },
    blocklist: { prefix: 'mine:', deadlineMs: 100, waitReplicas: 2, noevictionAcknowledged: true },
    limits: { isOn: false, rates: minutes },
    metrics: { port: 9464, token: 'a-token-for-those-who-scrape' }
  })
})

t.test('the storage and the topology of Redis follow from the variables', async t => {
  const embedded = { DATA_DIR: values.DATA_DIR, KEY_ENCRYPTION_SECRET: secret }
  t.same(loadConfig(embedded).storage, { kind: 'embedded', dataDir: values.DATA_DIR, keyEncryptionSecret: secret })
  const redisOf = (topology: object) =>
    (loadConfig({ ...without('REDIS_URL'), ...topology }).storage as Storage & { kind: 'servers' }).redis
  t.match(redisOf(behindSentinels), {
    kind: 'sentinel',
    sentinels: [{ host: 's1.example' }, { host: 's2.example' }],
    masterName: 'mymaster',
    user: { username: 'service', password: 'hush' },
    caFile: '/etc/ca.pem'
  })
  const nodes = [{ host: 'n1.example' }, { host: '::1' }, { host: 'n3.example' }]
  t.match(redisOf(cluster), { kind: 'cluster', nodes })
})

t.test('a wrong value is refused with one line: the variable, its value, and the values that are allowed', async t => {
  t.same(
    Object.keys(wrongValues).sort(),
    Object.keys(Settings.properties)
      .filter(name => !['DATA_DIR', 'REDIS_TLS_CA', 'PASSWORD_DENYLIST_FILE'].includes(name))
      .sort(),
    'every variable that can be wrong'
  )
  for (const [name, values] of Object.entries(wrongValues)) {
    for (const value of values) {
      const message = refusalOf({ ...servers, [name]: value })
      t.ok(message.startsWith(`${name} is `) && message.includes('; it must be ') && message.endsWith('.'), message)
      t.notMatch(message, '\n')
      if (/URL|SECRET|METRICS_TOKEN|SENTINELS|NODES|REDIS_PASSWORD/.test(name)) {
        t.notOk(message.includes(value), 'what may hold a password is not repeated')
      } else t.match(message, JSON.stringify(value))
    }
  }
})

t.test('settings that name one of two servers, or contradict each other, are refused with the reason', async t => {
  t.match(
    refusalOf(without('REDIS_URL')),
    /^REDIS_URL is not set but DATABASE_URL is: .* would not see each other's logouts\.$/
  )
  t.match(refusalOf(without('DATABASE_URL')), /^DATABASE_URL is not set but REDIS_URL is: /)
  t.match(refusalOf(without('ISSUER')), /^ISSUER is not set; with DATABASE_URL it must be/)
  t.match(
    refusalOf(without('KEY_ENCRYPTION_SECRET')),
    /^KEY_ENCRYPTION_SECRET is not set; with DATABASE_URL it must be/
  )
  t.equal(refusalOf({ METRICS_PORT: '3000' }), 'METRICS_PORT is 3000, and so is PORT: choose another one.')
  t.match(
    refusalOf({ BLOCKLIST_WAIT_REPLICAS: '1' }),
    /^BLOCKLIST_WAIT_REPLICAS is 1, but without DATABASE_URL and REDIS_URL there is no Redis/
  )
  t.match(refusalOf({ PORT: '0' }), /^ISSUER is not set; it must be when PORT is 0/)
})

t.test('the default issuer of the embedded mode is the address that clients use', async t => {
  t.equal(loadConfig({ HOST: '0.0.0.0', PORT: '80' }).tokens.issuer, 'http://localhost:80')
  t.equal(loadConfig({ HOST: '::', PORT: '80' }).tokens.issuer, 'http://localhost:80')
  t.equal(loadConfig({ HOST: '::1', PORT: '80' }).tokens.issuer, 'http://[::1]:80')
  t.equal(loadConfig({ AUDIENCE: 'x' }).tokens.audience, 'x')
})

t.test('.env.example lists every variable, with its default if it has one', async t => {
  const lines = readFileSync(join(packageRoot, '.env.example'), 'utf8')
  const listed = parseEnv(lines.replace(/^#([A-Z_]+=)/gm, '$1'))
  const known = Object.keys(listed).filter(name => name in Settings.properties)
  t.same(known.sort(), Object.keys(Settings.properties).sort())
  for (const [name, schema] of Object.entries(Settings.properties)) {
    if ('default' in schema) t.equal(listed[name], String(schema.default), name)
  }
})

t.test('the address of a server is shown without secrets', async t => {
  t.equal(describeUrl('postgres://me:hush@db.example:5432/app?sslpassword=hush'), 'postgres://db.example:5432/app')
  t.equal(describeUrl('redis://:hush@redis.example'), 'redis://redis.example')
})
