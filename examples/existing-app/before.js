// @ts-check
import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import fastifyJwt from '@fastify/jwt'
import { Redis } from 'ioredis'

const app = Fastify()
const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
app.addHook('onClose', () => redis.disconnect())

await app.register(fastifyJwt, {
  secret: process.env.JWT_SECRET ?? 'a random secret of at least 32 bytes',
  sign: { expiresIn: '15m' },
  // It forgets every logout when Redis loses its data, and it waits without a bound when Redis stalls.
  trusted: async (_request, { jti }) => await redis.exists(`revoked:${jti}`) === 0
})

/** @type {import('fastify').onRequestAsyncHookHandler} */
const authenticate = async request => { await request.jwtVerify() }

app.post('/login', async () => {
  // Check the password here.
  return { token: app.jwt.sign({ jti: randomUUID(), sub: 'ada' }) }
})

app.get('/secret', { onRequest: authenticate }, async request => request.user)

app.post('/logout', { onRequest: authenticate }, async request => {
  const { jti, exp } = /** @type {{ jti: string, exp: number }} */ (request.user)
  await redis.set(`revoked:${jti}`, 1, 'EXAT', exp)
  return { message: 'Logged out.' }
})

await app.listen({ port: Number(process.env.PORT ?? 3000) })
