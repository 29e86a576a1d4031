// @ts-check
import Fastify from 'fastify'
import signout, { createRedisBlocklist, createRedisConnection, createServiceRecord } from 'fastify-signout'
import pg from 'pg'
import { createJwksKeys } from './jwks.js'

// The address of the service signout, which signs the tokens. It is the setting ISSUER there.
const issuer = process.env.ISSUER ?? 'http://127.0.0.1:3000'
const findKey = createJwksKeys(`${process.env.SIGNOUT_URL ?? issuer}/.well-known/jwks.json`)

const app = Fastify()

// The Postgres and the Redis of the service. This user of Postgres only reads.
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
pool.on('error', error => { app.log.warn(error) })
const redis = createRedisConnection(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
await redis.connect()
const blocklist = createRedisBlocklist({ redis, prefix: 'signout:', record: createServiceRecord(pool) })
app.addHook('onClose', async () => {
  await blocklist.close()
  await pool.end()
})

await app.register(signout, {
  blocklist,
  jwt: {
    secret: async (/** @type {unknown} */ _request, /** @type {any} */ { header }) => await findKey(header),
    // The key function needs the header. A key that was revoked at the service is refused by its `kid`.
    decode: { complete: true },
    verify: { allowedIss: issuer, allowedAud: issuer, checkTyp: 'at+jwt' }
  }
})

// There is no login and no logout here: both are at the service.
app.get('/secret', { onRequest: app.authenticate }, async request => request.user)

await blocklist.ready()
await app.listen({ port: Number(process.env.PORT ?? 3001) })
