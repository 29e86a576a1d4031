// @ts-check
import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import fastifyJwt from '@fastify/jwt'
import { Redis } from 'ioredis'
import { createRedisBlocklist, createTrusted } from 'fastify-signout/trusted'

const app = Fastify()
const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
app.addHook('onClose', () => redis.disconnect())
const blocklist = createRedisBlocklist({ redis, prefix: 'existing-app:' })
const trusted = createTrusted(blocklist)
app.addHook('onClose', () => blocklist.close())

await app.register(fastifyJwt, {
  secret: process.env.JWT_SECRET ?? 'a random secret of at least 32 bytes',
  sign: { expiresIn: '15m' },
  trusted
})

/** @type {import('fastify').onRequestAsyncHookHandler} */
const authenticate = async request => { await request.jwtVerify() }

app.post('/login', async () => {
  // Check the password here.
  await blocklist.ready()
  return { token: app.jwt.sign({ jti: randomUUID(), sub: 'ada' }) }
})

app.get('/secret', { onRequest: authenticate }, async request => request.user)

app.post('/logout', { onRequest: authenticate }, async request => {
  await trusted.logout(request)
  return { message: 'Logged out.' }
})

await app.listen({ port: Number(process.env.PORT ?? 3000) })
