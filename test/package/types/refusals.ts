// The mistakes that the types refuse. Only compiled, never run. If the types accept one, its comment is an error.
import Fastify from 'fastify'
import auth, {
  createMemoryBlocklist, createRedisBlocklist, createRedisConnection, SignoutError, type Blocklist, type ErrorCode
} from 'fastify-signout'

const app = Fastify()
const blocklist = createMemoryBlocklist()
const jwt = { secret: 'a random secret of at least 32 bytes' }

// @ts-expect-error The blocklist is missing.
app.register(auth, { jwt })
// @ts-expect-error The settings of @fastify/jwt are missing.
app.register(auth, { blocklist })
// @ts-expect-error The secret is missing.
app.register(auth, { blocklist, jwt: {} })
// @ts-expect-error The plugin sets it.
app.register(auth, { blocklist, jwt: { ...jwt, trusted: () => true } })
// @ts-expect-error The leeway is given to the blocklist.
app.register(auth, { blocklist, jwt: { ...jwt, verify: { clockTolerance: 5 } } })
// @ts-expect-error A revoked token could be accepted after its entry has ended.
app.register(auth, { blocklist, jwt: { ...jwt, verify: { ignoreExpiration: true } } })
// @ts-expect-error The largest age is in seconds.
app.register(auth, { blocklist, jwt: { ...jwt, verify: { maxAge: '15m' } } })
// @ts-expect-error A schema is an object.
app.register(auth, { blocklist, jwt, claims: 'user' })
// @ts-expect-error The deadline is given to the blocklist.
app.register(auth, { blocklist, jwt, deadlineMs: 250 })

// @ts-expect-error The options are missing.
createRedisBlocklist()
// @ts-expect-error The prefix is missing.
createRedisBlocklist({ redis: createRedisConnection('redis://127.0.0.1') })
// @ts-expect-error The connection is made by createRedisConnection.
createRedisBlocklist({ redis: 'redis://127.0.0.1', prefix: 'my-app:' })
// @ts-expect-error The server is missing.
createRedisConnection()
// @ts-expect-error The deadline is given to the blocklist.
createRedisConnection('redis://127.0.0.1', { deadlineMs: 250 })
// @ts-expect-error The leeway is a number of seconds.
createMemoryBlocklist({ leewaySeconds: '5s' })

// @ts-expect-error The policy is 'allow' or 'refuse'.
app.get('/', { config: { onRevocationUnavailable: 'accept' } }, async () => '')
// @ts-expect-error The age is missing.
app.requireRecentAuthentication({})
// @ts-expect-error A token is a text.
app.verifyToken(5)
// @ts-expect-error A revocation says until when.
app.revoker.revoke([{ scope: 'token', id: 'a' }])
// @ts-expect-error There is no such scope.
app.revoker.revoke([{ scope: 'user', id: 'a', expiresAt: 1 }])
// @ts-expect-error It is a list.
app.revoker.revoke({ scope: 'token', id: 'a', expiresAt: 1 })
// @ts-expect-error There is no such code.
export const unknown = new SignoutError('no_such_code')

// @ts-expect-error A blocklist of an app says its leeway.
const withoutLeeway: Blocklist = {
  revoke: async () => {}, isRevoked: () => false, ping: async () => {}, close: async () => {}
}

// The types accept the rest. The README of the plugin declares the type of request.user.
app.get('/me', { onRequest: app.authenticate }, async ({ user }): Promise<string> => user.sub)
const { iat, aud } = await app.verifyToken('')
const issuedAt: number | undefined = iat
const audience: string | string[] | undefined = aud
const code: ErrorCode = 'forbidden'
const own: Blocklist = {
  leewaySeconds: 5, revoke: async () => {}, isRevoked: () => false, ping: async () => {}, close: async () => {}
}
await app.register(auth, { blocklist: own, jwt, claims: { type: 'object', required: ['tenant'] } })
export { withoutLeeway, issuedAt, audience, code }
