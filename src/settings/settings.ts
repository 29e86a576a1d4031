import { isIP } from 'node:net'
import { Type, type Static, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { isMember } from '../redis/topology-settings.ts'

/** What a setting must be, in words that complete the sentence "it must be …". */
interface Must {
  must: string
  /** Never repeat the value in a message. */
  secret?: true
}

const integer = (minimum: number, maximum: number, otherwise?: number, unit = '') => Type.Integer({
  minimum,
  maximum,
  ...(otherwise !== undefined && { default: otherwise }),
  must: `a whole number from ${minimum} to ${maximum}${unit}`
})

const address = (schemes: string[], example: string) => Type.Refine(
  Type.String({ secret: true, must: `an address such as ${example}` }),
  text => isAddress(text, schemes))

const redisMembers = (example: string) => Type.Refine(
  Type.Array(Type.String(), { minItems: 1, secret: true, must: `a list of addresses such as ${example}` }),
  list => list.every(isMember))

const rateLimit = (otherwise: string) => Type.String({
  default: otherwise, pattern: '^[1-9]\\d{0,6}/[1-9]\\d{0,5}$', must: 'a count and a number of seconds, such as 10/900'
})

/** Prometheus sends it after `Bearer`: the characters are those of a bearer token (RFC 6750, section 2.1). */
const metricsToken = Type.String({
  secret: true,
  pattern: '^(?=.{16,512}$)[A-Za-z0-9._~+/-]+=*$',
  must: '16 to 512 letters, digits or characters of "-._~+/" that cannot be guessed, ' +
    'such as the output of: openssl rand -hex 32'
})

/** Every setting: the name of its environment variable, its type, its bounds and its default. */
export const Settings = Type.Object({
  HOST: Type.String({ default: '127.0.0.1', pattern: '^[0-9A-Za-z.:_-]+$', must: 'a host name or an IP address' }),
  PORT: integer(0, 65_535, 3000),
  LOG_LEVEL: Type.Union(
    (['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const).map(level => Type.Literal(level)),
    { default: 'info', must: 'one of fatal, error, warn, info, debug, trace and silent' }),
  /** Postgres. Unset: the embedded one, in DATA_DIR. */
  DATABASE_URL: Type.Optional(address(['postgres:', 'postgresql:'], 'postgres://user:password@host:5432/database')),
  /** Redis. Unset: the blocklist is in the memory of this process. */
  REDIS_URL: Type.Optional(address(['redis:', 'rediss:'], 'redis://host:6379')),
  /** The sentinels that know the primary, and the name that it has there; instead of REDIS_URL. */
  REDIS_SENTINELS: Type.Optional(redisMembers('sentinel-1:26379,sentinel-2:26379,sentinel-3:26379')),
  REDIS_MASTER_NAME: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9._-]{1,255}$',
      must: 'letters, digits or characters of "._-", such as mymaster'
    })
  ),
  /** Some nodes of a cluster; instead of REDIS_URL. */
  REDIS_CLUSTER_NODES: Type.Optional(redisMembers('node-1:6379,node-2:6379,node-3:6379')),
  /** The user of the primary behind sentinels, or of the nodes of a cluster. */
  REDIS_USERNAME: Type.Optional(Type.String({ pattern: '^\\S{1,255}$', must: 'a name without spaces' })),
  REDIS_PASSWORD: Type.Optional(
    Type.String({ secret: true, maxLength: 4096, must: 'a password of at most 4096 characters' })
  ),
  /** A file with the certificates that are trusted, where Redis is reached by TLS. Unset: those that Node trusts. */
  REDIS_TLS_CA: Type.Optional(Type.String({ minLength: 1, must: 'a file' })),
  /** Where Redis does not tell its eviction policy. */
  REDIS_NOEVICTION_ACKNOWLEDGED: Type.Union([Type.Literal('yes'), Type.Literal('no')], {
    default: 'no',
    must: 'yes or no'
  }),
  DATA_DIR: Type.String({ default: '.signout', minLength: 1, must: 'a folder' }),
  /** `iss` of the tokens. */
  ISSUER: Type.Optional(Type.Refine(
    Type.String({ must: 'an http or https address without query and fragment, such as https://auth.example.com' }),
    text => URL.canParse(text) && /^https?:\/\/[^?#]+$/.test(text))),
  /** `aud` of the tokens. Unset: the issuer. */
  AUDIENCE: Type.Optional(
    Type.String({ minLength: 1, maxLength: 255, must: 'a name of 1 to 255 characters for those who accept the tokens' })
  ),
  ACCESS_TOKEN_TTL: integer(1, 2_592_000, 900, ' (seconds)'),
  CLOCK_LEEWAY: integer(0, 300, 5, ' (seconds)'),
  /** How long a session lives without being refreshed. */
  REFRESH_TOKEN_TTL: integer(1, 31_536_000, 1_209_600, ' (seconds)'),
  /** How long a session lives at most, however often it is refreshed. */
  SESSION_MAX_AGE: integer(1, 31_536_000, 2_592_000, ' (seconds)'),
  /** For how long the refresh token that was just spent is answered with the same successor again. */
  REFRESH_GRACE: integer(0, 300, 10, ' (seconds)'),
  MAX_SESSIONS: integer(1, 1000, 100),
  /** For how long sessions that have ended or expired are kept for their owner to see. */
  SESSION_RETENTION: integer(0, 31_536_000, 2_592_000, ' (seconds)'),
  SECURITY_EVENT_RETENTION: integer(3600, 315_360_000, 7_776_000, ' (seconds)'),
  KEY_ENCRYPTION_SECRET: Type.Optional(Type.Refine(
    Type.String({
      secret: true,
      must: '32 bytes or more that cannot be guessed, such as the output of: openssl rand -base64 32'
    }),
    text => Buffer.byteLength(text) >= 32)),
  BLOCKLIST_DEADLINE_MS: integer(10, 10_000, 250, ' (milliseconds)'),
  /** How many replicas of Redis must have a logout before it is answered. */
  BLOCKLIST_WAIT_REPLICAS: integer(0, 10, 0),
  BLOCKLIST_PREFIX: Type.String({
    default: 'signout:',
    pattern: '^[A-Za-z0-9:._-]{1,64}$',
    must: '1 to 64 letters, digits or characters of ":._-"'
  }),
  PASSWORD_MIN_LENGTH: integer(8, 128, 15, ' (characters)'),
  /** The proxies whose X-Forwarded-For is trusted. */
  TRUST_PROXY: Type.Optional(Type.Refine(
    Type.Array(Type.String(), {
      minItems: 1,
      must: 'a list of addresses or CIDR ranges, such as 10.0.0.0/8,192.168.1.1'
    }),
    list => list.every(isAddressRange))),
  DATABASE_DEADLINE_MS: integer(100, 60_000, 2000, ' (milliseconds)'),
  RATE_LIMITS: Type.Union([Type.Literal('on'), Type.Literal('off')], { default: 'on', must: 'on or off' }),
  LIMIT_PASSWORD_BY_ACCOUNT: rateLimit('50/900'),
  LIMIT_PASSWORD_BY_IP: rateLimit('100/900'),
  LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: rateLimit('10/900'),
  LIMIT_REGISTER_BY_IP: rateLimit('100/3600'),
  LIMIT_REFRESH_BY_SESSION: rateLimit('120/60'),
  /** Where metrics are, on HOST. Unset: on PORT with METRICS_TOKEN, or nowhere. */
  METRICS_PORT: Type.Optional(integer(0, 65_535)),
  METRICS_TOKEN: Type.Optional(metricsToken)
})
export type Settings = Static<typeof Settings>

/**
 * Returns the settings of environment variables, and adds a line to `mistakes` for each that is wrong.
 *
 * A value that is wrong is kept, so that it is not taken for one that is missing as well.
 */
export function readSettings (env: Record<string, string | undefined>, mistakes: string[]): Settings {
  const values: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(Settings.properties as unknown as Record<string, TSchema & Must>)) {
    const text = env[name]
    if (text === undefined || text === '') {
      if ('default' in schema) values[name] = schema.default
      continue
    }
    const value = parse(schema, text)
    if (!Value.Check(schema, value)) mistakes.push(`${name} is ${shown(schema, text)}; it must be ${schema.must}.`)
    values[name] = value
  }
  return values as Settings
}

/** Text becomes what the schema asks for where it can; what cannot stays text, and fails the check. */
function parse (schema: TSchema, text: string): unknown {
  if (Type.IsInteger(schema)) return /^\d+$/.test(text) ? Number(text) : text
  if (Type.IsArray(schema)) return text.split(',').map(item => item.trim())
  return text
}

function shown (schema: Must, text: string): string {
  return schema.secret ? `${Buffer.byteLength(text)} bytes that do not fit` : JSON.stringify(text)
}

/** A user or a password that is not percent-encoded as it should be would be found out by the client only. */
function isAddress (text: string, schemes: string[]): boolean {
  if (!text.includes('://') || !URL.canParse(text)) return false
  const { protocol, username, password, pathname } = new URL(text)
  // The number of a database of Redis. What is no plain number would silently be database 0.
  if (/^rediss?:$/.test(protocol) && !/^\/?\d{0,5}$/.test(pathname)) return false
  try {
    decodeURIComponent(username + password)
  } catch {
    return false
  }
  return schemes.includes(protocol)
}

function isAddressRange (text: string): boolean {
  const [ip = '', bits, ...rest] = text.split('/')
  const version = isIP(ip)
  if (version === 0 || rest.length > 0) return false
  // Not 0: that would trust every address, and proxy-addr refuses it.
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= (version === 4 ? 32 : 128))
  )
}
