// @ts-check
import { createHash, timingSafeEqual } from 'node:crypto'
import fastifyAuth from '@fastify/auth'
import Fastify from 'fastify'
import signout, { createRedisBlocklist, createRedisConnection } from 'fastify-signout'

const app = Fastify()

const redis = createRedisConnection(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
await redis.connect()
const blocklist = createRedisBlocklist({ redis, prefix: 'api-keys:' })
app.addHook('onClose', () => blocklist.close())

await app.register(fastifyAuth)
await app.register(signout, {
  blocklist,
  jwt: { secret: process.env.JWT_SECRET ?? 'a random secret of at least 32 bytes', sign: { expiresIn: '15m' } }
})

const apiKey = process.env.API_KEY ?? 'a random API key'
/** @param {string} text */
const digest = text => createHash('sha256').update(text).digest()

/** @type {import('fastify').onRequestAsyncHookHandler} */
async function checkApiKey (request) {
  if (timingSafeEqual(digest(String(request.headers['x-api-key'])), digest(apiKey))) return
  throw Object.assign(new Error('The API key is missing or wrong.'), { statusCode: 401 })
}

app.post('/login', async () => {
  // Check the password here.
  return { token: await app.issueToken({ sub: 'ada' }) }
})

// Either is enough. While Redis is down, a request with a token gets 503, and not the 401 of the API key.
const onRequest = app.auth([app.authenticate, checkApiKey])
app.get('/secret', { onRequest }, async request => request.user ?? 'a program')

// An API key has no logout.
app.post('/logout', { onRequest: app.authenticate }, async request => {
  await request.logout()
  return { message: 'Logged out.' }
})

await blocklist.ready()
await app.listen({ port: Number(process.env.PORT ?? 3000) })
