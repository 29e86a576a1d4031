// The plugin on every kind of server, with an own logger and an own type provider. Only compiled, never run.
import Fastify, { type FastifyBaseLogger, type FastifyTypeProvider } from 'fastify'
import auth, { createMemoryBlocklist } from 'fastify-signout'

const options = { blocklist: createMemoryBlocklist(), jwt: { secret: 'a random secret of at least 32 bytes' } }
const https = { key: '', cert: '' }

const http2 = Fastify({ http2: true })
await http2.register(auth, options)
http2.get('/hook', { onRequest: http2.authenticate }, async request => request.user)
http2.get('/hooks', { onRequest: [http2.authenticate, http2.authenticate] }, async request => request.user)
http2.get('/recent', { onRequest: http2.requireRecentAuthentication({ maxAgeSeconds: 300 }) }, async () => 'recent')
http2.get('/scoped', { onRequest: http2.requireScope('articles:read') }, async () => 'scoped')
http2.get('/called', async (request, reply) => {
  await http2.authenticate(request, reply)
  http2.authenticate(request, reply, (error?: Error) => error?.message)
  return await http2.issueToken({ sub: 'ada' })
})
http2.get('/optional', {
  onRequest: (request, reply) => http2.authenticate(request, reply).catch(() => {})
}, async () => '')
http2.addHook('onRequest', http2.authenticate)
http2.register(async app => { app.addHook('preHandler', app.authenticate) })

const http2s = Fastify({ http2: true, https })
await http2s.register(auth, options)
http2s.get('/hook', { onRequest: http2s.authenticate }, async request => request.user)
http2s.addHook('onRequest', http2s.authenticate)

const tls = Fastify({ https })
await tls.register(auth, options)
tls.get('/hook', { onRequest: tls.authenticate }, async request => request.user)

interface Logger extends FastifyBaseLogger { audit (line: string): void }
const logged = Fastify({ loggerInstance: {} as Logger })
await logged.register(auth, options)
logged.get('/hook', { onRequest: logged.authenticate }, async request => request.user)

interface Provider extends FastifyTypeProvider { validator: this['schema'], serializer: this['schema'] }
const provided = Fastify().withTypeProvider<Provider>()
await provided.register(auth, options)
provided.post<{ Body: { name: string }, Params: { id: string } }>(
  '/typed/:id',
  { onRequest: provided.authenticate, config: { onRevocationUnavailable: 'allow' } },
  async ({ body, params }) => body.name.length + params.id.length
)
