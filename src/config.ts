import { isIP } from 'node:net'
import type { SigningAlgorithm } from './db/public-jwk.ts'
import { StartupError } from './errors.ts'
import type { LimitName } from './limits/limits.ts'
import type { HashCost } from './users/password-hasher.ts'
import { isSecureAddress } from './settings/browser-settings.ts'
import { chooseStorage, type Storage } from './settings/choose-storage.ts'
import { readSettings } from './settings/read-settings.ts'
import type { Settings } from './settings/settings.ts'

export type { Storage } from './settings/choose-storage.ts'

/** The settings of the service, in groups. {@link loadConfig} reads them from environment variables. */
export interface Config {
  http: {
    /** The host name or IP address to listen on. */
    host: string
    /** The TCP port to listen on. 0 lets the system choose one. */
    port: number
    /** The addresses or CIDR ranges of proxies whose `X-Forwarded-For` is trusted; undefined: none. */
    trustProxy: string[] | undefined
    /** The number of seconds from SIGTERM until the service closes. */
    shutdownDelaySeconds: number
    /** True if `/docs` is the documentation page. */
    hasDocs: boolean
  }
  browsers: {
    /** The origins whose pages may read the answers. */
    corsOrigins: string[]
    /** True if a client may have its refresh token in a cookie. */
    hasCookies: boolean
    /** The number of seconds for which browsers use only HTTPS; 0: no such rule. */
    hstsMaxAgeSeconds: number
  }
  log: {
    /** The lowest level that is logged. */
    level: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
    /** The requests that get a line. */
    requests: 'all' | 'errors' | 'off'
  }
  storage: Storage
  database: {
    /** The longest wait for an answer of Postgres, in milliseconds. */
    deadlineMs: number
    /** False if a start leaves the migrations to `signout migrate`. */
    migratesOnStart: boolean
  }
  tokens: {
    /** `iss` of the access tokens. */
    issuer: string
    /** `aud` of the access tokens. */
    audience: string
    /** The lifetime of an access token, in seconds. */
    lifetimeSeconds: number
  }
  keys: {
    /** The algorithm of new signing keys. */
    algorithm: SigningAlgorithm
    /** The number of seconds for which the public keys may be cached. */
    jwksMaxAgeSeconds: number
    /** The number of seconds after which the key that signs is replaced; 0: never. */
    rotationIntervalSeconds: number
    /** The secret before, while the one that encrypts the keys is changed. */
    previousSecret: string | undefined
  }
  clocks: {
    /** The number of seconds by which clocks may differ. */
    leewaySeconds: number
  }
  accounts: {
    /** False if only operators create accounts. */
    isRegistrationOpen: boolean
  }
  sessions: {
    /** The lifetime of a session without a refresh, in seconds. */
    idleSeconds: number
    /** The longest lifetime of a session, in seconds. */
    maxAgeSeconds: number
    /** The number of seconds during which a spent refresh token gets the same successor again. */
    graceSeconds: number
    /** The number of seconds during which it gets another successor while the first one is unused. */
    repeatMaxSeconds: number
    /** The number of seconds after a proof of the password during which other sessions may be ended; 0 for ever. */
    reauthenticationMaxAgeSeconds: number
    /** The largest number of live sessions of a user. */
    maxPerUser: number
    /** The number of seconds during which sessions that are over stay visible to their owner. */
    retentionSeconds: number
  }
  passwords: {
    /** The smallest number of characters in a new password. */
    minLength: number
    /** A file with further words that make a new password easy to guess. */
    denylistFile: string | undefined
    /** The cost of a password's hash. */
    hashCost: HashCost
  }
  securityEvents: {
    /** The number of seconds during which security events are kept. */
    retentionSeconds: number
  }
  blocklist: {
    /** The text in front of every key in Redis. */
    prefix: string
    /** The longest wait for an answer of the blocklist, in milliseconds. */
    deadlineMs: number
    /** The number of Redis replicas that must have a logout before it is answered. */
    waitReplicas: number
    /** True if an operator states that a Redis which hides its eviction policy never evicts. */
    noevictionAcknowledged: boolean
  }
  limits: {
    /** False turns all limits off. */
    isOn: boolean
    /** The number of attempts that each limit admits in a window, and the length of the window in seconds. */
    rates: Record<LimitName, { attempts: number, windowSeconds: number }>
  }
  metrics: {
    /** The TCP port of the metrics, on `http.host`; undefined: the main port with `token`, or nowhere. */
    port: number | undefined
    /** The bearer token for the metrics on the main port. */
    token: string | undefined
  }
}

/** The configuration, or a line for each mistake. `settings` are in effect, by the names of their variables. */
export interface ConfigCheck {
  config: Config | undefined
  settings: Readonly<Record<string, unknown>>
  mistakes: string[]
}

/**
 * Reads the settings from environment variables. An empty variable counts as unset. A secret may be in a file, which
 * the variable with `_FILE` at its end names: `DATABASE_URL_FILE`.
 *
 * Throws a {@link StartupError} of one line that names the variable that is wrong, what it is, and what it must be.
 *
 * @example
 * const { http, blocklist } = loadConfig(process.env)
 */
export function loadConfig (env: Record<string, string | undefined>): Config {
  if (typeof env !== 'object' || env === null) {
    throw new TypeError('loadConfig takes environment variables as an object, such as process.env.')
  }
  const { config, mistakes } = checkConfig(env)
  if (config === undefined) throw new StartupError(mistakes[0])
  return config
}

/** Returns the configuration, or every mistake. `loadConfig` throws the first of them. */
export function checkConfig (env: Record<string, string | undefined>): ConfigCheck {
  const mistakes: string[] = []
  const given = readSettings(env, mistakes)
  const storage = chooseStorage(given, mistakes)
  if (given.METRICS_PORT === given.PORT && given.PORT !== 0) {
    mistakes.push(`METRICS_PORT is ${given.METRICS_PORT}, and so is PORT: choose another one.`)
  }
  const issuer = given.ISSUER ?? addressOf(given)
  if (given.COOKIES === 'on' && URL.canParse(issuer) && !isSecureAddress(issuer)) {
    mistakes.push(`COOKIES is on, but browsers keep no secure cookie of ${issuer}: set ISSUER to an https address.`)
  }
  if (storage === undefined || mistakes.length > 0) return { config: undefined, settings: given, mistakes }
  const settings = { ...given, ISSUER: issuer, AUDIENCE: given.AUDIENCE ?? issuer }
  return { config: groupSettings(settings, storage), settings, mistakes }
}

/** Returns the settings in groups. No other code connects the name of a variable with that of a setting. */
function groupSettings (settings: Settings & { ISSUER: string, AUDIENCE: string }, storage: Storage): Config {
  return {
    http: {
      host: settings.HOST,
      port: settings.PORT,
      trustProxy: settings.TRUST_PROXY,
      shutdownDelaySeconds: settings.SHUTDOWN_DELAY,
      hasDocs: settings.DOCS === 'on'
    },
    browsers: {
      corsOrigins: settings.CORS_ORIGINS ?? [],
      hasCookies: settings.COOKIES === 'on',
      hstsMaxAgeSeconds: settings.HSTS_MAX_AGE
    },
    log: { level: settings.LOG_LEVEL, requests: settings.LOG_REQUESTS },
    storage,
    database: {
      deadlineMs: settings.DATABASE_DEADLINE_MS, migratesOnStart: settings.MIGRATE_ON_START === 'yes'
    },
    tokens: { issuer: settings.ISSUER, audience: settings.AUDIENCE, lifetimeSeconds: settings.ACCESS_TOKEN_TTL },
    keys: {
      algorithm: settings.SIGNING_ALGORITHM,
      jwksMaxAgeSeconds: settings.JWKS_MAX_AGE,
      rotationIntervalSeconds: settings.KEY_ROTATION_INTERVAL,
      previousSecret: settings.KEY_ENCRYPTION_SECRET_PREVIOUS
    },
    clocks: { leewaySeconds: settings.CLOCK_LEEWAY },
    accounts: { isRegistrationOpen: settings.REGISTRATION === 'open' },
    sessions: {
      idleSeconds: settings.REFRESH_TOKEN_TTL,
      maxAgeSeconds: settings.SESSION_MAX_AGE,
      graceSeconds: settings.REFRESH_GRACE,
      repeatMaxSeconds: settings.REFRESH_REPEAT_MAX,
      reauthenticationMaxAgeSeconds: settings.REAUTHENTICATION_MAX_AGE,
      maxPerUser: settings.MAX_SESSIONS,
      retentionSeconds: settings.SESSION_RETENTION
    },
    passwords: {
      minLength: settings.PASSWORD_MIN_LENGTH,
      denylistFile: settings.PASSWORD_DENYLIST_FILE,
      hashCost: { memoryCost: settings.PASSWORD_HASH_MEMORY, timeCost: settings.PASSWORD_HASH_PASSES }
    },
    securityEvents: { retentionSeconds: settings.SECURITY_EVENT_RETENTION },
    blocklist: {
      prefix: settings.BLOCKLIST_PREFIX,
      deadlineMs: settings.BLOCKLIST_DEADLINE_MS,
      waitReplicas: settings.BLOCKLIST_WAIT_REPLICAS,
      noevictionAcknowledged: settings.REDIS_NOEVICTION_ACKNOWLEDGED === 'yes'
    },
    limits: {
      isOn: settings.RATE_LIMITS === 'on',
      rates: {
        'password-by-account': parseRate(settings.LIMIT_PASSWORD_BY_ACCOUNT),
        'password-by-ip': parseRate(settings.LIMIT_PASSWORD_BY_IP),
        'password-by-network': parseRate(settings.LIMIT_PASSWORD_BY_NETWORK),
        'password-by-account-and-ip': parseRate(settings.LIMIT_PASSWORD_BY_ACCOUNT_AND_IP),
        'password-in-a-row': parseRate(settings.LIMIT_PASSWORD_IN_A_ROW),
        'login-by-account': parseRate(settings.LIMIT_LOGIN_BY_ACCOUNT),
        'register-by-ip': parseRate(settings.LIMIT_REGISTER_BY_IP),
        'register-by-network': parseRate(settings.LIMIT_REGISTER_BY_NETWORK),
        'refresh-by-session': parseRate(settings.LIMIT_REFRESH_BY_SESSION),
        'refresh-by-account': parseRate(settings.LIMIT_REFRESH_BY_ACCOUNT),
        'client-by-ip': parseRate(settings.LIMIT_CLIENT_BY_IP)
      }
    },
    metrics: { port: settings.METRICS_PORT, token: settings.METRICS_TOKEN }
  }
}

function parseRate (text: string): { attempts: number, windowSeconds: number } {
  const [attempts, windowSeconds] = text.split('/').map(Number) as [number, number]
  return { attempts, windowSeconds }
}

/** Returns the address that clients use for the service. A wildcard host becomes localhost. */
function addressOf ({ HOST, PORT }: Settings): string {
  const host = HOST === '0.0.0.0' || HOST === '::' ? 'localhost' : HOST
  return `http://${isIP(host) === 6 ? `[${host}]` : host}:${PORT}`
}
