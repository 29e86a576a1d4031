import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import {
  createClientAdministration, type ClientAdministration
} from '../src/administration/client-administration.ts'
import { createKeyAdministration, type KeyAdministration } from '../src/administration/key-administration.ts'
import {
  createRevocationRequests, type RevocationRequests, type RevocationRequestsOptions
} from '../src/administration/revocation-requests.ts'
import {
  createRoleAdministration, type RoleAdministration
} from '../src/administration/role-administration.ts'
import {
  createUserAdministration, type UserAdministration, type UserAdministrationOptions
} from '../src/administration/user-administration.ts'
import { canonicalIp } from '../src/input/requester.ts'
import type { Config } from '../src/config.ts'
import { createEventRepository, type EventRepository } from '../src/security/event-repository.ts'
import { withResults } from '../src/monitoring/logins.ts'
import type { SecurityEvent } from '../src/security/security-events.ts'
import { createLogout, type Logout } from '../src/logout/logout.ts'
import { createSessions, type Sessions } from '../src/sessions/sessions.ts'
import { createSessionEnder } from '../src/sessions/session-ender.ts'
import { createPerform } from '../src/unit-of-work.ts'
import { createAccounts, type Accounts } from '../src/accounts/accounts.ts'
import { createRefreshTokens } from '../src/sessions/refresh-tokens.ts'
import { createRequireRecent } from '../src/sessions/recent-authentication.ts'
import { createPasswordCheck } from '../src/users/password-check.ts'
import { createPasswordDenylist, readDenylistFile } from '../src/users/password-denylist.ts'
import { createPasswordProof } from '../src/users/password-proof.ts'
import { createPasswordHasher, type HashCost } from '../src/users/password-hasher.ts'
import { createUserRepository } from '../src/users/user-repository.ts'
import { createWrongPasswords, unlimitedWrongPasswords, type WrongPasswords } from '../src/users/wrong-passwords.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The operations of users on their own accounts. */
    accounts: Accounts
    /** Opens, refreshes and lists sessions. */
    sessions: Sessions
    logout: Logout
    /** The operations of administrators on other accounts. */
    userAdministration: UserAdministration
    revocationRequests: RevocationRequests
    keyAdministration: KeyAdministration
    clientAdministration: ClientAdministration
    roleAdministration: RoleAdministration
    securityEvents: EventRepository
  }
}

export interface AccountsOptions {
  config: Pick<Config, 'accounts' | 'clocks' | 'keys' | 'limits' | 'passwords' | 'sessions' | 'tokens'>
  /** The cost of a password's hash. Defaults to OWASP's minimum. For tests. */
  hashCost?: HashCost | undefined
}

/** Adds users, their sessions, and the administration of both. */
async function accounts (app: FastifyInstance, { config, hashCost }: AccountsOptions): Promise<void> {
  const { database, revoker, accessTokens, limits, metrics } = app
  const announce = (event: SecurityEvent) => {
    const { requestId } = event.requester ?? {}
    app.log.info({ request_id: requestId, event: toLogged(event) }, `Security event: ${event.type}`)
  }

  const users = createUserRepository(database)
  const events = createEventRepository(database, announce)
  const { denylistFile, hashCost: cost, minLength } = config.passwords
  const passwords = await createPasswordHasher({ cost: hashCost ?? cost })
  metrics.ask({ passwords: () => passwords.load })
  const checkPassword = createPasswordCheck({
    passwords,
    limits,
    wrongPasswords: wrongPasswordsOf(app, config.limits),
    events,
    onDamagedHash: (userId, err) => { app.log.error({ err, user_id: userId }, 'A password hash is damaged') }
  })
  const denylist = createPasswordDenylist({
    serviceNames: namesOf(config.tokens.issuer),
    ...denylistFile !== undefined && { words: await readDenylistFile(denylistFile) }
  })
  const perform = createPerform({ database, revoker, announce, onRevoked: metrics.revoked })
  const ender = createSessionEnder(config.clocks.leewaySeconds)
  const requireClock = () => { app.clocks.requireAgreement() }
  const requireRecent = createRequireRecent(config.sessions.reauthenticationMaxAgeSeconds)
  const shared = {
    database,
    users,
    perform,
    ender,
    accessTokens,
    requireClock,
    requireRecent,
    passwords,
    denylist,
    passwordMinLength: minLength,
    provePassword: createPasswordProof({ users, checkPassword })
  }

  const spentTokenRules = {
    refreshTokens: createRefreshTokens(app.rootSecret),
    graceSeconds: config.sessions.graceSeconds,
    repeatMaxSeconds: config.sessions.repeatMaxSeconds
  }
  const sessions = createSessions({
    ...shared,
    ...spentTokenRules,
    events,
    checkPassword,
    limits,
    lifetimes: config.sessions,
    maxPerUser: config.sessions.maxPerUser
  })
  app.decorate('sessions', { ...sessions, login: withResults(sessions.login, metrics.loggedIn) })
  app.decorate('logout', createLogout({ ...shared, ...spentTokenRules }))
  app.decorate('accounts', createAccounts({
    ...shared,
    limits,
    isRegistrationOpen: config.accounts.isRegistrationOpen,
    openSession: app.sessions.open
  }))
  decorateAdministration(app, config, shared)
  app.decorate('securityEvents', events)
}

/** Adds the operations of administrators. */
function decorateAdministration (
  app: FastifyInstance,
  config: AccountsOptions['config'],
  shared: UserAdministrationOptions & Pick<RevocationRequestsOptions, 'accessTokens'>
): void {
  app.decorate('userAdministration', createUserAdministration(shared))
  app.decorate('clientAdministration', createClientAdministration(shared))
  app.decorate(
    'revocationRequests',
    createRevocationRequests({ ...shared, accessTokenLifetimeSeconds: config.tokens.lifetimeSeconds })
  )
  const { leewaySeconds } = config.clocks
  app.decorate('roleAdministration', createRoleAdministration({ ...shared, leewaySeconds }))
  app.decorate('keyAdministration', createKeyAdministration({
    ...shared,
    keyRing: app.keyRing,
    encryption: app.keyEncryption,
    algorithm: config.keys.algorithm,
    accessTokenLifetimeSeconds: config.tokens.lifetimeSeconds,
    jwksMaxAgeSeconds: config.keys.jwksMaxAgeSeconds
  }))
}

function wrongPasswordsOf (app: FastifyInstance, { isOn, rates }: Config['limits']): WrongPasswords {
  if (!isOn) return unlimitedWrongPasswords
  const limit = { name: 'password-in-a-row', ...rates['password-in-a-row'] }
  return createWrongPasswords({ database: app.database, limit, secret: app.rootSecret })
}

/** Returns the names of the service: its own, its host, and the parts of the host. */
function namesOf (issuer: string): string[] {
  const { hostname } = new URL(issuer)
  return ['signout', hostname, ...hostname.split('.')]
}

/** Returns an event with the property names of the API, so that the log and the API read alike. */
function toLogged ({ type, userId, actorId, sessionId, requester, details }: SecurityEvent) {
  return {
    type,
    user_id: userId ?? null,
    actor_id: actorId ?? null,
    session_id: sessionId ?? null,
    ip: canonicalIp(requester?.ip) ?? null,
    ...(details && { details })
  }
}

const dependencies = ['metrics', 'database', 'tokens', 'authentication', 'rate-limits']
export default fp(accounts, { name: 'accounts', fastify: '5.x', dependencies })
