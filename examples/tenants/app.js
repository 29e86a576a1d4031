// @ts-check
import Fastify from 'fastify'
import signout, { createRedisBlocklist, createRedisConnection } from 'fastify-signout'
import { createJwksKeys } from './jwks.js'

// Each tenant has an issuer. Acme has the usual claims. Globex has its ids in other claims, as Entra does.
const acme = process.env.ACME_ISSUER ?? 'http://127.0.0.1:4001'
const globex = process.env.GLOBEX_ISSUER ?? 'http://127.0.0.1:4002'

// A fixed list: an attacker can write any issuer into a token.
const keys = new Map([acme, globex].map(issuer => [issuer, createJwksKeys(`${issuer}/.well-known/jwks.json`)]))

const app = Fastify()
const redis = createRedisConnection(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
await redis.connect()
const blocklist = createRedisBlocklist({ redis, prefix: 'tenants:' })
app.addHook('onClose', () => blocklist.close())

await app.register(signout, {
  blocklist,
  // Their ids are kept apart: a logout at Acme revokes no token of Globex, also if both have the same id.
  foreignIssuers: { [acme]: {}, [globex]: { tokenId: 'uti', subject: 'oid' } },
  jwt: {
    secret: async (/** @type {unknown} */ _request, /** @type {any} */ { header, payload }) =>
      await keys.get(payload.iss)?.(header),
    decode: { complete: true },
    verify: { allowedIss: [acme, globex], allowedAud: 'https://api.example' }
  }
})

app.get('/secret', { onRequest: app.authenticate }, async request => request.user)

app.post('/logout', { onRequest: app.authenticate }, async request => {
  await request.logout()
  return { message: 'Logged out.' }
})

await blocklist.ready()
await app.listen({ port: Number(process.env.PORT ?? 3000) })
