import { Type, type Static } from 'typebox'
import { signingAlgorithms } from '../db/public-jwk.ts'
import { browsers } from './browser-settings.ts'
import {
  address, addressRanges, bearerToken, integer, issuer, oneOf, redisMembers, secret
} from './forms.ts'
import { limits } from './limit-settings.ts'

const http = {
  HOST: Type.String({
    default: '127.0.0.1',
    pattern: '^[0-9A-Za-z.:_-]+$',
    must: 'a host name or an IP address',
    description: 'The address that the service listens on. In a container: 0.0.0.0.'
  }),
  PORT: integer(0, 65_535, 3000, '', { description: 'The port that the service listens on. 0 takes a free one.' }),
  SHUTDOWN_DELAY: integer(0, 600, 0, ' (seconds)', {
    description: 'How long the service serves on after SIGTERM, while /health/ready answers 503. ' +
      'Longer than load balancers take to notice.'
  }),
  TRUST_PROXY: Type.Optional(addressRanges({
    description: 'The proxies whose X-Forwarded-For is trusted: addresses and CIDR ranges, separated by commas. ' +
      'Without it, every requester behind a proxy has the address of the proxy.',
    example: '10.0.0.0/8'
  })),
  DOCS: oneOf(['on', 'off'], 'on', {
    description: 'off removes the documentation page /docs. The description for programs stays at /openapi.json.'
  }),
  LOG_LEVEL: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info', {
    description: 'The least important lines that are logged.'
  }),
  LOG_REQUESTS: oneOf(['all', 'errors', 'off'], 'all', {
    description: 'The requests that get a line: all, those that are answered with errors (400 and above), or none. ' +
      'Health checks, scrapes, and 503s of an outage never do.'
  })
}

const postgres = {
  DATABASE_URL: Type.Optional(address(['postgres:', 'postgresql:'], 'postgres://user:password@host:5432/database', {
    description: 'Postgres. Set it together with Redis, or set neither for the embedded mode.',
    example: 'postgres://user:password@localhost:5432/signout'
  })),
  MIGRATE_ON_START: oneOf(['yes', 'no'], 'yes', {
    description: 'Whether a start brings the tables up to date. With no, `signout migrate` does, ' +
      'and a start on older tables ends with a line that says so.'
  }),
  DATABASE_DEADLINE_MS: integer(100, 60_000, 2000, ' (milliseconds)', {
    description: 'How long Postgres may take to connect, to run a statement, or to get a lock. ' +
      'Beyond it a request gets 503.'
  }),
  DATA_DIR: Type.String({
    default: '.signout',
    minLength: 1,
    must: 'a folder',
    description: 'The folder of the embedded mode: its database and its secret. One process at a time.'
  })
}

const redis = {
  REDIS_URL: Type.Optional(address(['redis:', 'rediss:'], 'redis://host:6379', {
    description: 'Redis, one server. rediss:// connects with TLS.',
    example: 'redis://localhost:6379'
  })),
  REDIS_SENTINELS: Type.Optional(redisMembers('sentinel-1:26379,sentinel-2:26379,sentinel-3:26379', {
    description: 'Instead of REDIS_URL: the sentinels that know the primary. ' +
      'rediss:// in front of each connects with TLS. user:password@ is for the sentinels.',
    example: 'sentinel-1:26379,sentinel-2:26379,sentinel-3:26379'
  })),
  REDIS_MASTER_NAME: Type.Optional(Type.String({
    pattern: '^[A-Za-z0-9._-]{1,255}$',
    must: 'letters, digits or characters of "._-", such as mymaster',
    description: 'The name that the sentinels give the primary. Required with REDIS_SENTINELS.',
    example: 'mymaster'
  })),
  REDIS_CLUSTER_NODES: Type.Optional(redisMembers('node-1:6379,node-2:6379,node-3:6379', {
    description: 'Instead of REDIS_URL: some nodes of a Redis cluster.',
    example: 'node-1:6379,node-2:6379,node-3:6379'
  })),
  REDIS_USERNAME: Type.Optional(Type.String({
    pattern: '^\\S{1,255}$',
    must: 'a name without spaces',
    description: 'The user of the primary behind sentinels, or of the nodes of a cluster.',
    example: ''
  })),
  REDIS_PASSWORD: Type.Optional(Type.String({
    secret: true,
    maxLength: 4096,
    must: 'a password of at most 4096 characters',
    description: 'The password of that user. Without REDIS_USERNAME it is the password of the default user.',
    example: ''
  })),
  REDIS_TLS_CA: Type.Optional(Type.String({
    minLength: 1,
    must: 'a file',
    description: 'A file with the certificates of the authorities that are trusted for Redis, in PEM format. ' +
      'Without it, those that Node trusts.',
    example: '/etc/ssl/redis-ca.pem'
  })),
  REDIS_NOEVICTION_ACKNOWLEDGED: oneOf(['yes', 'no'], 'no', {
    description: 'yes, if Redis denies CONFIG GET and you have made sure that its maxmemory-policy is noeviction. ' +
      'If it is not, revoked tokens may be accepted.'
  }),
  BLOCKLIST_PREFIX: Type.String({
    default: 'signout:',
    pattern: '^[A-Za-z0-9:._-]{1,64}$',
    must: '1 to 64 letters, digits or characters of ":._-"',
    description: 'The beginning of every key in Redis. Each service that shares a Redis needs its own.'
  }),
  BLOCKLIST_DEADLINE_MS: integer(10, 10_000, 250, ' (milliseconds)', {
    description: 'How long Redis may take to answer. Beyond it a request gets 503.'
  }),
  BLOCKLIST_WAIT_REPLICAS: integer(0, 10, 0, '', {
    description: 'How many Redis replicas must have a logout before it is answered. docs/redis.md says what that costs.'
  })
}

const tokens = {
  ISSUER: Type.Optional(issuer({
    description: 'The public address of the service, `iss` of its tokens. Required with DATABASE_URL. ' +
      'Otherwise the address that it listens on.',
    example: 'https://auth.example.com'
  })),
  AUDIENCE: Type.Optional(Type.String({
    minLength: 1,
    maxLength: 255,
    must: 'a name of 1 to 255 characters for those who accept the tokens',
    description: 'The services that accept the tokens, `aud`. Defaults to ISSUER.',
    example: 'https://api.example.com'
  })),
  ACCESS_TOKEN_TTL: integer(1, 2_592_000, 900, ' (seconds)', { description: 'How long an access token is valid.' }),
  SIGNING_ALGORITHM: oneOf([...signingAlgorithms], 'EdDSA', {
    description: 'The algorithm of new signing keys. Choose ES256 or RS256 for services whose ' +
      'libraries cannot verify EdDSA.'
  }),
  JWKS_MAX_AGE: integer(1, 86_400, 300, ' (seconds)', {
    description: 'How long the public keys may be cached. A new signing key is published for longer before it signs.'
  }),
  KEY_ROTATION_INTERVAL: integer(0, 315_360_000, 0, ' (seconds)', {
    description: 'How long a signing key signs before the next one replaces it. 0: until signout keys rotate.'
  }),
  CLOCK_LEEWAY: integer(0, 300, 5, ' (seconds)', {
    description: 'By how much the clocks of replicas, Redis, Postgres and verifying services may differ.'
  }),
  KEY_ENCRYPTION_SECRET: Type.Optional(secret({
    description: 'The secret that encrypts the keys in the database, the same for every replica. ' +
      'Required with DATABASE_URL. In embedded mode it is created once and kept in DATA_DIR.',
    example: ''
  })),
  KEY_ENCRYPTION_SECRET_PREVIOUS: Type.Optional(secret({
    description: 'The secret before, while KEY_ENCRYPTION_SECRET is changed. ' +
      'Remove it after `signout keys reencrypt`.',
    example: ''
  }))
}

const sessions = {
  REGISTRATION: oneOf(['open', 'closed'], 'open', {
    description: 'Who may create accounts. With closed, POST /register answers 403, ' +
      'and `signout user create` creates them.'
  }),
  REFRESH_TOKEN_TTL: integer(1, 31_536_000, 1_209_600, ' (seconds)', {
    description: 'How long a session lives without a refresh.'
  }),
  SESSION_MAX_AGE: integer(1, 31_536_000, 2_592_000, ' (seconds)', {
    description: 'How long a session lives at most, with refreshes.'
  }),
  REFRESH_GRACE: integer(0, 300, 10, ' (seconds)', {
    description: 'How long the refresh token that was just spent gets the same pair again. ' +
      'So two tabs, or a lost answer, do not sign the user out. 0 turns it off.'
  }),
  REFRESH_REPEAT_MAX: integer(0, 86_400, 3_600, ' (seconds)', {
    description: 'How long that token gets another pair after the grace, while the first one is unused. ' +
      'So an answer that is lost in a tunnel does not sign the user out. 0 turns it off.'
  }),
  REAUTHENTICATION_MAX_AGE: integer(0, 31_536_000, 600, ' (seconds)', {
    description: 'How long after a login a session may end other sessions, or act as an administrator. ' +
      'Later the password has to be proved again. 0 turns it off.'
  }),
  MAX_SESSIONS: integer(1, 1000, 100, '', {
    description: 'How many live sessions a user may have. A new session ends the one that was idle longest.'
  }),
  SESSION_RETENTION: integer(0, 31_536_000, 2_592_000, ' (seconds)', {
    description: 'How long sessions that have ended or expired are kept.'
  }),
  SECURITY_EVENT_RETENTION: integer(3600, 315_360_000, 7_776_000, ' (seconds)', {
    description: 'How long security events are kept.'
  }),
  PASSWORD_MIN_LENGTH: integer(8, 128, 15, ' (characters)', { description: 'The shortest password.' }),
  PASSWORD_DENYLIST_FILE: Type.Optional(Type.String({
    minLength: 1,
    must: 'a file',
    description: 'A file with further words, one in each line, that make a new password easy to guess. ' +
      'Common passwords are refused without it.',
    example: '/etc/signout/passwords.txt'
  })),
  PASSWORD_HASH_MEMORY: integer(19_456, 1_048_576, 19_456, ' (KiB)', {
    description: 'The memory of an Argon2id hash. A hash with less is renewed at the next login of its user.'
  }),
  PASSWORD_HASH_PASSES: integer(2, 20, 2, '', {
    description: 'The passes of an Argon2id hash over its memory. A hash with fewer is renewed at the next login.'
  })
}

const metrics = {
  METRICS_PORT: Type.Optional(integer(0, 65_535, undefined, '', {
    description: 'A port of its own for /metrics, which the public should not reach.',
    example: '9464'
  })),
  METRICS_TOKEN: Type.Optional(bearerToken({
    description: 'Without METRICS_PORT: the bearer token for /metrics on PORT. With neither there are no metrics.',
    example: ''
  }))
}

/** Every setting by its subject: the name of its environment variable, its type, its bounds and its default. */
export const settingGroups = {
  'Address and log': http,
  Postgres: postgres,
  Redis: redis,
  'Tokens and clocks': tokens,
  'Sessions and passwords': sessions,
  Browsers: browsers,
  'Limits on guessing': limits,
  Metrics: metrics
}

/** Every setting. */
export const Settings = Type.Object({
  ...http, ...postgres, ...redis, ...tokens, ...sessions, ...browsers, ...limits, ...metrics
})
export type Settings = Static<typeof Settings>
