import { createRequire } from 'node:module'
import Fastify, { type FastifyInstance, type FastifyPluginAsync, type preValidationAsyncHookHandler } from 'fastify'
import t, { type Test } from 'tap'
import { createTrusted, type Trusted } from '../../../plugins/auth/auth.ts'
import { createTestBlocklist } from '../../../plugins/auth/testing.ts'
import { get, send } from '../../support/requests.ts'
import { goodClaims } from '../../support/tokens.ts'
import { issuer, secret, sign } from './bare-app.ts'

// Without their types, which declare other decorators of these names than the plugin does.
const require = createRequire(import.meta.url)
const fastifyJwtJwks = require('fastify-jwt-jwks') as FastifyPluginAsync<{ secret: string }>
const { Authenticator } = require('@fastify/passport') as { Authenticator: new () => Passport }
const { ExtractJwt, Strategy } = require('passport-jwt') as {
  ExtractJwt: { fromAuthHeaderAsBearerToken (): unknown }
  Strategy: new (options: object, verify: (request: object, claims: { sub: string }, done: Done) => void) => object
}

interface Passport {
  use (strategy: object): void
  initialize (): FastifyPluginAsync
  authenticate (strategy: string, options: object): preValidationAsyncHookHandler
}
type Done = (error: unknown, user?: unknown) => void

type AddRoutes = (app: FastifyInstance, trusted: Trusted) => Promise<void>

/** A good token, the same one after its logout, and another one while the blocklist stalls. */
async function expectLogout (t: Test, addRoutes: AddRoutes): Promise<void> {
  const blocklist = createTestBlocklist()
  const app = Fastify() as unknown as FastifyInstance
  t.teardown(() => app.close())
  await addRoutes(app, createTrusted(blocklist))
  const [token, other] = [sign(goodClaims(issuer)), sign(goodClaims(issuer))]
  for (const wrong of [undefined, 'x', `${token}x`]) t.equal((await get(app, '/me', wrong)).statusCode, 401)
  const answer = await get(app, '/me', token)
  t.equal(answer.statusCode, 200, answer.body)
  t.equal((await send(app, 'POST /logout', { token })).statusCode, 200)
  const refused = await get(app, '/me', token)
  t.match([refused.statusCode, refused.json().code], [401, 'token_revoked'])
  t.equal((await get(app, '/me', other)).statusCode, 200)
  blocklist.stall()
  const { statusCode, headers } = await get(app, '/me', other)
  t.match([statusCode, headers['retry-after']], [503, '1'])
  blocklist.recover()
  t.equal((await get(app, '/me', other)).statusCode, 200)
}

t.test('trusted.check after fastify-jwt-jwks: a logged out token is 401, and a stalled Redis is 503', t =>
  expectLogout(t, async (app, trusted) => {
    await app.register(fastifyJwtJwks, { secret })
    const onRequest = [(app as unknown as { authenticate: () => Promise<void> }).authenticate, trusted.check]
    app.get('/me', { onRequest }, async request => request.user)
    app.post('/logout', { onRequest }, request => trusted.logout(request))
  }))

/** Registers @fastify/passport with a strategy that finds a user by the claims of a token. */
async function usePassport (
  app: FastifyInstance, verify: (request: object, claims: { sub: string }, done: Done) => void
): Promise<preValidationAsyncHookHandler> {
  const passport = new Authenticator()
  const jwtFromRequest = ExtractJwt.fromAuthHeaderAsBearerToken()
  passport.use(new Strategy({ secretOrKey: secret, jwtFromRequest, passReqToCallback: true }, verify))
  // It asks for the decorator of a session, also in an app that has none.
  app.decorateRequest('session')
  await app.register(passport.initialize())
  return passport.authenticate('jwt', { session: false })
}

t.test('trusted.check after @fastify/passport: a logged out token is 401, and a stalled Redis is 503', t =>
  expectLogout(t, async (app, trusted) => {
    const authenticate = await usePassport(app, (_request, claims, done) => { done(null, claims) })
    const preValidation = [authenticate, trusted.check]
    app.get('/me', { preValidation }, async request => request.user)
    app.post('/logout', { preValidation }, request => trusted.logout(request))
  }))

t.test('trusted in a strategy of @fastify/passport, whose user is not the claims, does the same', t =>
  expectLogout(t, async (app, trusted) => {
    const preValidation = await usePassport(app, (request, claims, done) => {
      trusted(request, claims).then(() => { done(null, { name: claims.sub }) }, done)
    })
    app.get('/me', { preValidation }, async request => request.user)
    app.post('/logout', { preValidation }, request => trusted.logout(request))
  }))
