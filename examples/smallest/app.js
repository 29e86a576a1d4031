// @ts-check
import Fastify from 'fastify'
import signout, { createRedisBlocklist, createRedisConnection } from 'fastify-signout'

const app = Fastify()

const redis = createRedisConnection(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
await redis.connect()
const blocklist = createRedisBlocklist({ redis, prefix: 'smallest:' })
app.addHook('onClose', () => blocklist.close())

await app.register(signout, {
  blocklist,
  jwt: { secret: process.env.JWT_SECRET ?? 'a random secret of at least 32 bytes', sign: { expiresIn: '15m' } }
})

app.post('/login', async () => {
  // Check the password here.
  return { token: await app.issueToken({ sub: 'ada' }) }
})

app.get('/secret', { onRequest: app.authenticate }, async request => request.user)

app.post('/logout', { onRequest: app.authenticate }, async request => {
  await request.logout()
  return { message: 'Logged out.' }
})

// The first start waits some seconds, because tokens from before it are refused.
await blocklist.ready()
await app.listen({ port: Number(process.env.PORT ?? 3000) })
