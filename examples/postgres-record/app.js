// @ts-check
import Fastify from 'fastify'
import signout, { createPostgresRecord, createRedisBlocklist, createRedisConnection } from 'fastify-signout'
import pg from 'pg'

const app = Fastify()

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
// Without this listener, a lost connection would end the process.
pool.on('error', error => { app.log.warn(error) })
const redis = createRedisConnection(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
await redis.connect()
const record = createPostgresRecord(pool)
const blocklist = createRedisBlocklist({ redis, prefix: 'postgres-record:', record })
app.addHook('onClose', async () => {
  await blocklist.close()
  await pool.end()
})

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

// Rejects with the reason if Redis or Postgres cannot hold revocations.
await blocklist.ready()
await app.listen({ port: Number(process.env.PORT ?? 3000) })
