import type { FastifyJWTOptions } from '@fastify/jwt'
import { requireFunctions, shown } from '../../src/input/check-options.ts'
import { deadlineOf, leewayOf, type Blocklist } from '../../src/revocation/blocklist.ts'
import type { RevocableTokenClaims } from '../../src/tokens/claims.ts'
import type { ClaimNames, ForeignIssuers } from '../../src/tokens/identity.ts'
import type { DecoratorNames } from './decorators.ts'
import type { CheckResult } from '../../src/revocation/revocation-check.ts'

/** Options of @fastify/jwt that would replace the check of this plugin, or change the claims in `request.user`. */
const ownJwtOptions = ['trusted', 'formatUser', 'namespace', 'decoratorName', 'jwtVerify'] as const

/** The cures, where there is one. */
const ownReasons: Record<typeof ownJwtOptions[number], string> = {
  trusted: '. To keep a registration of @fastify/jwt, give it createTrusted(blocklist)',
  formatUser: '',
  namespace: '. Choose names with the option names',
  decoratorName: '. Choose a name with the option names: { user }',
  jwtVerify: '. Choose a name with the option names: { jwtVerify }'
}

const outlives = 'a revoked token could be accepted after its entry has left the blocklist'
/** Options of `jwt.verify` with which a revoked token could be accepted again, and their replacements. */
const ownVerifyOptions = {
  clockTolerance: `${outlives}. Give leewaySeconds to the blocklist: it is the leeway of both`,
  ignoreExpiration: `${outlives}. Use app.jwt.verify to read the claims of a token that has expired`,
  clockTimestamp: `${outlives}, since the blocklist goes by a clock that runs`,
  cacheKeyBuilder: 'a revoked token could be taken for another one that has the same key'
} as const

/**
 * Options that @fastify/jwt ignores, with the right place of each: those in the wrong place, and those of the package
 * jsonwebtoken. An issuer, for example, would not be checked. Other names are left to @fastify/jwt, because a later
 * version of it may have more.
 */
const misplaced: Record<string, Record<string, string>> = {
  jwt: {
    expiresIn: 'sign.expiresIn',
    algorithm: 'sign.algorithm',
    algorithms: 'verify.algorithms',
    allowedIss: 'verify.allowedIss',
    allowedAud: 'verify.allowedAud',
    issuer: 'verify.allowedIss',
    audience: 'verify.allowedAud',
    maxAge: 'verify.maxAge'
  },
  verify: {
    algorithm: 'verify.algorithms',
    issuer: 'verify.allowedIss',
    audience: 'verify.allowedAud',
    subject: 'verify.allowedSub',
    jwtid: 'verify.allowedJti'
  },
  sign: {
    algorithms: 'sign.algorithm',
    issuer: 'sign.iss',
    audience: 'sign.aud',
    subject: 'sign.sub',
    jwtid: 'sign.jti',
    keyid: 'sign.kid'
  }
}

/** The settings of @fastify/jwt that this plugin does not set itself. */
export type JwtOptions = Omit<FastifyJWTOptions, typeof ownJwtOptions[number] | 'verify'> & { verify?: VerifyOptions }
type GivenVerifyOptions = NonNullable<FastifyJWTOptions['verify']>
export type VerifyOptions = Omit<GivenVerifyOptions, keyof typeof ownVerifyOptions | 'maxAge'> & {
  /** The largest age of a token, by its `iat`, in seconds. */
  maxAge?: number
}

/**
 * Options of the plugin.
 *
 * @example
 * const options: AuthOptions = { blocklist: createMemoryBlocklist(), jwt: { secret, sign: { expiresIn: '15m' } } }
 */
export interface AuthOptions {
  /** The settings of @fastify/jwt, by which tokens are verified. The leeway is that of the blocklist. */
  jwt: JwtOptions
  /**
   * The blocklist that each request is checked against. It declares the leeway of the clocks and the deadline of a
   * check. The app closes it.
   */
  blocklist: Blocklist
  /**
   * Requirements for the claims beyond a `jti` and an `exp`: a JSON Schema, or a TypeBox schema. Nothing is converted.
   * The plugin fails to register if it is no schema.
   *
   * @example
   * claims: { type: 'object', required: ['tenant'], properties: { tenant: { type: 'string' } } }
   */
  claims?: object
  /**
   * Where tokens have their ids, if not in `jti`, `sid` and `sub`. It is for tokens of issuers that are not in
   * `foreignIssuers`.
   *
   * @example
   * claimNames: { tokenId: 'uti' }
   */
  claimNames?: ClaimNames
  /**
   * The issuers of others, such as Auth0, Entra or Supabase, and where their tokens have their ids. Their ids get a
   * prefix in the blocklist, so that two issuers with the same `jti` do not share an entry. Do not change it while
   * tokens are revoked: their entries would not be found.
   *
   * @example
   * foreignIssuers: { 'https://tenant.eu.auth0.com/': {} }
   */
  foreignIssuers?: ForeignIssuers
  /**
   * Other names for decorators, beside an app or a plugin that has the same ones.
   *
   * @example
   * names: { authenticate: 'checkToken', logout: 'endSession' }
   */
  names?: Partial<DecoratorNames>
  /** The realm of the `WWW-Authenticate` header (RFC 6750, section 3). Defaults to `signout`. */
  realm?: string
  /**
   * Called with the claims of a token once it is verified. A remembered token is not verified again on each use. The
   * token may be revoked. It must be quick, and must not throw.
   */
  onVerified?: (claims: RevocableTokenClaims) => void
  /** Called with the result of each check, for counting. It must be quick, and must not throw. */
  onChecked?: (result: CheckResult) => void
  /**
   * Called before a token is refused for its time (`exp`, `nbf`, `iat`, `maxAge`). Returns an error if the clock of
   * this machine may be wrong, or may have been wrong when the token was judged. The answer is then 503
   * `revocation_unavailable` instead of 401, with that error as its cause. A client that gets 401 would sign in again
   * for nothing. It must be quick.
   */
  findClockFault?: () => Error | undefined
}

/** Throws a TypeError that names the first option that is wrong, what it is, and what it must be. */
export function checkAuthOptions (options: AuthOptions): void {
  const { jwt, blocklist, claims, realm } = options as Partial<AuthOptions>
  if (typeof jwt !== 'object' || jwt === null) {
    throw new TypeError(`The option jwt is ${shown(jwt)}; it must be the settings of @fastify/jwt, such as { secret }.`)
  }
  checkJwtOptions(jwt)
  checkBlocklist(blocklist)
  if (blocklist?.isOfService === true) requireKeyFunction(jwt)
  checkOptionNames(options)
  if (claims !== undefined && (typeof claims !== 'object' || claims === null)) {
    throw new TypeError(`The option claims is ${shown(claims)}; it must be a schema.`)
  }
  if (realm !== undefined && !(typeof realm === 'string' && /^[\t\x20-\x7e]*$/.test(realm))) {
    throw new TypeError(
      `The option realm is ${shown(realm)}; it must be a text of ASCII characters, without control characters.`
    )
  }
  requireFunctions(options, ['onChecked', 'onVerified', 'findClockFault'], 'The option ')
}

const ofBlocklist = ['prefix', 'leewaySeconds', 'deadlineMs', 'maxTokenLifetimeSeconds']
const known = [
  'jwt', 'blocklist', 'claims', 'claimNames', 'foreignIssuers', 'names', 'realm', 'onVerified', 'onChecked',
  'findClockFault'
]
/** Fastify takes these from the options of any plugin. */
const ofFastify = ['logLevel', 'logSerializers']

/** Throws a TypeError for an option that would change nothing. */
function checkOptionNames (options: object): void {
  for (const name of Object.keys(options)) {
    if (ofBlocklist.includes(name)) {
      throw new TypeError(`The option ${name} is given to the blocklist: createRedisBlocklist({ …, ${name} }).`)
    }
    if (!known.includes(name) && !ofFastify.includes(name)) {
      throw new TypeError(`The option ${name} is not known; the options are ${known.join(', ')}.`)
    }
  }
}

function checkJwtOptions (jwt: JwtOptions): void {
  for (const name of ownJwtOptions) {
    if (!(name in jwt)) continue
    throw new TypeError(`The option jwt.${name} is set by signout and cannot be given${ownReasons[name]}.`)
  }
  if (!jwt.secret) {
    throw new TypeError(
      `The option jwt.secret is ${shown(jwt.secret)}; it must be a secret, a pair of keys or a function that returns the key of a token.`
    )
  }
  refuseMisplaced(jwt)
  const verify = (jwt.verify ?? {}) as GivenVerifyOptions
  for (const [name, reason] of Object.entries(ownVerifyOptions)) {
    if (verify[name as keyof typeof ownVerifyOptions] !== undefined) {
      throw new TypeError(`The option jwt.verify.${name} cannot be given: ${reason}.`)
    }
  }
  if (verify.maxAge !== undefined && typeof verify.maxAge !== 'number') {
    throw new TypeError(`The option jwt.verify.maxAge is ${shown(verify.maxAge)}; it must be a number of seconds.`)
  }
}

/** Throws a TypeError unless a token chooses its key by its `kid`, so that the blocklist is asked about the key too. */
function requireKeyFunction ({ secret }: JwtOptions): void {
  const key: unknown = typeof secret === 'object' && 'public' in secret ? secret.public : secret
  if (typeof key === 'function') return
  throw new TypeError(
    'With the blocklist of the service, the option jwt.secret must be a function that returns the key of a token by its kid: a key may be revoked.'
  )
}

function refuseMisplaced (jwt: JwtOptions): void {
  for (const [where, cures] of Object.entries(misplaced)) {
    const given: unknown = where === 'jwt' ? jwt : (jwt as Record<string, unknown>)[where]
    for (const name of Object.keys(given ?? {})) {
      if (!Object.hasOwn(cures, name)) continue
      const path = where === 'jwt' ? `jwt.${name}` : `jwt.${where}.${name}`
      throw new TypeError(`The option ${path} would change nothing: give jwt.${cures[name]}.`)
    }
  }
}

/**
 * Throws a TypeError if a blocklist lacks what every check needs.
 *
 * @param name what the blocklist is called in the message
 */
export function checkBlocklist (blocklist: Blocklist | undefined, name = 'The option blocklist'): void {
  if (typeof blocklist !== 'object' || blocklist === null) {
    throw new TypeError(
      `${name} is ${shown(blocklist)}; it must be a blocklist, such as createMemoryBlocklist().`
    )
  }
  for (const method of ['revoke', 'isRevoked'] as const) {
    if (typeof blocklist[method] !== 'function') throw new TypeError(`${name} has no method ${method}.`)
  }
  leewayOf(blocklist)
  deadlineOf(blocklist)
}
