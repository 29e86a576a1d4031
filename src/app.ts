import Fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import accounts from '../plugins/accounts.ts'
import blocklist from '../plugins/blocklist.ts'
import secrets from '../plugins/secrets.ts'
import { requestLogOptions } from '../plugins/http/request-log.ts'
import requester, { trustProxies } from '../plugins/http/requester.ts'
import closing from '../plugins/http/closing.ts'
import cookieClients from '../plugins/http/cookie-clients.ts'
import cors from '../plugins/http/cors.ts'
import database from '../plugins/database.ts'
import ending from '../plugins/ending.ts'
import errors from '../plugins/http/errors.ts'
import listener, { listenerOptions, type ArrivalBounds } from '../plugins/http/listener.ts'
import { serializeError, serializeRequest } from '../plugins/http/log-serializers.ts'
import maintenance from '../plugins/maintenance.ts'
import metrics from '../plugins/metrics.ts'
import outages from '../plugins/outages.ts'
import { readFormBodies } from '../plugins/oauth/form-bodies.ts'
import oauth from '../plugins/oauth/oauth.ts'
import openapi, { type OpenApiOptions } from '../plugins/docs/openapi.ts'
import { protectPages } from '../plugins/docs/page-headers.ts'
import rateLimits from '../plugins/rate-limits.ts'
import readiness from '../plugins/readiness.ts'
import { startPagePolicy } from '../plugins/start-page/html.ts'
import startPage from '../plugins/start-page/start-page.ts'
import tokens from '../plugins/tokens.ts'
import login from '../routes/auth/login.ts'
import logout from '../routes/auth/logout.ts'
import refresh from '../routes/auth/refresh.ts'
import register from '../routes/auth/register.ts'
import health from '../routes/health.ts'
import me from '../routes/me/me.ts'
import password from '../routes/me/password.ts'
import securityEvents from '../routes/me/security-events.ts'
import sessions from '../routes/me/sessions.ts'
import token from '../routes/me/token.ts'
import metricsText from '../routes/metrics.ts'
import introspect from '../routes/oauth/introspect.ts'
import revoke from '../routes/oauth/revoke.ts'
import oauthToken from '../routes/oauth/token.ts'
import openapiDocument from '../routes/openapi.ts'
import keys from '../routes/keys.ts'
import revocations from '../routes/revocations.ts'
import startPageRoute from '../routes/start-page.ts'
import userSessions from '../routes/users/sessions.ts'
import users from '../routes/users/users.ts'
import authorizationServer from '../routes/well-known/authorization-server.ts'
import verify from '../routes/verify.ts'
import jwks from '../routes/well-known/jwks.ts'
import type { Config } from './config.ts'
import { SignoutError, type OutageError } from './errors.ts'
import { escapeLogLine } from './input/escape-text.ts'
import { version } from './package-root.ts'
import { createRevoker } from './revocation/revoker.ts'
import type { HashCost } from './users/password-hasher.ts'

/** The settings of the log. The serializers of requests and errors are replaced, so that the log holds no secrets. */
export type LoggerOptions = Exclude<FastifyServerOptions['logger'], boolean | undefined>

export interface AppOptions {
  /** Starts while Redis is down. Revocations are recorded, and answered 503 until Redis has them. */
  isBlocklistDown?: boolean
  /** The longest time for a request to arrive, on every listener. Defaults to 30 s. For tests. */
  arrival?: ArrivalBounds
  /** The cost of a password's hash. Defaults to OWASP's minimum. For tests. */
  hashCost?: HashCost
  /** False for an app without requests, such as that of a command: it has no routes. Defaults to true. */
  hasRoutes?: boolean
}

/** The longest time for requests under way to finish when the service closes. */
const closingDeadlineMs = 8_000
/** Long, because replicas that start together migrate one after another, each within its own bound. */
const pluginTimeoutMs = 90_000

/**
 * Builds the app of the service. Plugins are registered in the order in which they depend on each other.
 *
 * Throws a TypeError if `config` is not a configuration. `app.ready()` rejects with a `StartupError` if the service
 * cannot start with it. The caller closes the app, also after a failure.
 */
export function buildApp (
  config: Config,
  logger: LoggerOptions | false = { level: config?.log?.level },
  { isBlocklistDown = false, arrival, hashCost, hasRoutes = true }: AppOptions = {}
): FastifyInstance {
  if ((config as Partial<Config> | undefined)?.storage === undefined) {
    throw new TypeError('buildApp takes what loadConfig returns.')
  }
  const app = Fastify({
    logger: logger && {
      ...logger,
      serializers: { err: serializeError, req: serializeRequest },
      hooks: { streamWrite: escapeLogLine }
    },
    ...listenerOptions(arrival),
    ...requestOptions(config),
    ...!hasRoutes && { schemaController: { compilersFactory: withoutCompilers } },
    pluginTimeout: pluginTimeoutMs
  })

  app.register(errors)
  app.register(listener, config.browsers)
  app.register(cors, { config })
  app.register(requester)
  if (hasRoutes) app.register(validation(), { passwordMinLength: config.passwords.minLength })
  app.register(readiness)
  app.register(closing, { deadlineMs: closingDeadlineMs })
  app.register(outages)
  app.register(metrics, { config, arrival })

  app.register(database, { config })
  app.register(secrets)
  app.register(blocklist, { config, isDown: isBlocklistDown })
  app.register(tokens, { config })
  app.register(hasRoutes ? authentication() : revoking, { config })
  app.register(rateLimits, { config })
  app.register(accounts, { config, hashCost })

  if (hasRoutes) {
    app.register(cookieClients, { config })
    app.register(ending)
    app.register(oauth, { config })
    app.register(maintenance, { config })
    app.register(startPage, { config, version })
    app.register(routes, {
      hasPage: config.http.hasDocs, issuer: config.tokens.issuer, hasCookies: config.browsers.hasCookies
    })
  }
  return app as unknown as FastifyInstance
}

/** Keeps Fastify from loading compilers of schemas, which an app without routes does not need. */
const withoutCompilers = { buildValidator: neverCalled, buildSerializer: neverCalled }

function neverCalled (): never {
  throw new Error('An app without routes compiles no schema.')
}

/** Loads the validation of requests when it is needed: a command would take a fifth longer to start. */
const validation = () => import('../plugins/validation/validation.ts')

/** Loads what checks the tokens of requests when it is needed, for the same reason. */
const authentication = () => import('../plugins/authentication.ts')

/** Returns Fastify's options for the id, the line in the log, and the address of each request. */
function requestOptions ({ log, http: { trustProxy } }: Pick<Config, 'log' | 'http'>) {
  return { ...requestLogOptions(log), trustProxy: trustProxy === undefined ? false : trustProxies(trustProxy) }
}

/** Takes the place of `authentication` in an app without requests, which revokes too. */
const revoking = fp(async (app: FastifyInstance): Promise<void> => {
  app.decorate('revoker', createRevoker(app.blocklist))
}, { name: 'authentication' })

/** Registers the routes, and the OpenAPI document that describes them. */
const routes = fp(async (app: FastifyInstance, options: Omit<OpenApiOptions, 'version'>): Promise<void> => {
  app.register(openapi, { version, ...options })
  app.register(register)
  app.register(login)
  app.register(refresh)
  app.register(logout)
  app.register(me)
  app.register(token)
  app.register(sessions)
  app.register(password)
  app.register(securityEvents)
  app.register(users)
  app.register(userSessions)
  app.register(revocations)
  app.register(keys)
  app.register(verify)
  app.register(jwks)
  app.register(oauthRoutes, { prefix: '/oauth' })
  app.register(authorizationServer)
  app.register(health)
  app.register(metricsText)
  app.register(openapiDocument)
  app.register(async pages => {
    await protectPages(pages, startPagePolicy)
    await pages.register(startPageRoute)
  })
})

/** Registers the routes below `/oauth/`, which take forms. */
async function oauthRoutes (app: FastifyInstance): Promise<void> {
  readFormBodies(app)
  app.register(oauthToken)
  app.register(revoke)
  app.register(introspect)
}

/**
 * Builds the stand-in that answers 503 while the service cannot start, because Postgres is down. `/health/live` answers
 * 200.
 *
 * @param log the logger of the service. Requests get the lines that they get from the service.
 */
export function buildWaitingApp (
  config: Pick<Config, 'browsers' | 'http' | 'log'>,
  log: FastifyBaseLogger,
  outage: OutageError,
  { arrival }: Pick<AppOptions, 'arrival'> = {}
): FastifyInstance {
  const app = Fastify({
    ...listenerOptions(arrival),
    ...requestOptions(config),
    loggerInstance: log,
    // Requests are answered at once, so closing waits for nothing.
    forceCloseConnections: true
  })
  app.register(errors)
  app.register(listener, config.browsers)
  app.register(cors, { config })
  // The health routes are the only ones. Any other address gets 503, which a page can read only after a preflight.
  app.after(() => {
    app.addHook('onRequest', async (request, reply) => {
      if (!request.is404) return
      const isPreflight = app.cors?.addPreflightHeaders(request, reply, app.supportedMethods)
      if (isPreflight !== true) throw new SignoutError('service_unavailable', { cause: outage })
      return reply.code(204).send()
    })
  })
  app.register(validation())
  app.register(readiness)
  app.after(() => { app.readiness.add(outage.what, () => Promise.reject(outage)) })
  app.register(health)
  return app as unknown as FastifyInstance
}
