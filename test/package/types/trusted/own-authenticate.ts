// An app that declares decorators of its own, under the names that the plugin has too. Only compiled, never run.
import Fastify from 'fastify'
import {
  createRedisBlocklist, createRedisConnection, createTrusted, SignoutError, type Blocklist, type Trusted
} from 'fastify-signout/trusted'

declare module 'fastify' {
  interface FastifyInstance {
    authenticate: (request: FastifyRequest) => Promise<void>
    revoke: (request: FastifyRequest) => number
  }
  interface FastifyRequest { endSession (): Promise<string> }
}

const blocklist: Blocklist = createRedisBlocklist({
  redis: createRedisConnection('redis://127.0.0.1:6379'), prefix: 'my-app:'
})
const trusted: Trusted = createTrusted(blocklist)
const app = Fastify()
app.get('/', { onRequest: [app.authenticate, trusted.check] }, async request => app.revoke(request))
app.post('/logout', { onRequest: app.authenticate }, request => trusted.logout(request))
// @ts-expect-error The entry declares no decorator.
app.issueToken({ sub: 'ada' })
// @ts-expect-error The blocklist is missing.
createTrusted()
export const isOurs = (error: unknown): boolean => error instanceof SignoutError
