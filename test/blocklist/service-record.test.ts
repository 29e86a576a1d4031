import { generateKeyPairSync } from 'node:crypto'
import Fastify from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import auth, {
  createRedisBlocklist, createRedisConnection, createServiceRecord, createTrusted, type AuthOptions
} from '../../plugins/auth/auth.ts'
import { everyoneRevocation } from '../../src/entries/revocation.ts'
import type { RedisBlocklist } from '../../src/revocation/redis-blocklist.ts'
import { build, serversEnv, type Env } from '../support/app.ts'
import { signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, logOut } from '../support/requests.ts'
import { createDatabase, databaseOfTest } from '../support/services.ts'
import { claimsOf } from '../support/sessions.ts'
import { forge, ed25519, nowSeconds } from '../support/tokens.ts'
import { until } from '../support/wait.ts'

const prefix = 'signout:'

/** Opens the blocklist of the service, as another app does. */
async function openShared (t: Test, url: string, databaseUrl: string): Promise<RedisBlocklist> {
  const pool = new pg.Pool({ connectionString: databaseUrl })
  pool.on('error', () => { /* The database is dropped. */ })
  t.teardown(() => pool.end())
  const redis = createRedisConnection(url)
  await redis.connect()
  const record = createServiceRecord(pool)
  const blocklist = createRedisBlocklist({
    redis, prefix, record, deadlineMs: 5_000, maxTokenLifetimeSeconds: 900
  })
  t.teardown(() => blocklist.close())
  return blocklist
}

async function startService (t: Test, redisUrl: string) {
  const env: Env = { ...await serversEnv(t), REDIS_URL: redisUrl, BLOCKLIST_PREFIX: prefix }
  return { service: await build(t, env), databaseUrl: String(env['DATABASE_URL']) }
}

t.test('a user of Redis that can write no entry is enough for the blocklist of the service (P2)', async t => {
  const redis = await ownRedis(t)
  const { service, databaseUrl } = await startService(t, redis.url)
  const own = ['marker', 'progress', 'note', 'doubt'].map(name => `%RW~${prefix}${name}`)
  const commands = ['evalsha', 'eval', 'info', 'time', 'mget', 'get', 'set', 'del'].map(command => `+${command}`)
  await redis.admin.acl('SETUSER', 'reader', 'on', '>a-password', `%R~${prefix}*`, ...own, ...commands)
  const shared = await openShared(t, redis.url.replace('//', '//reader:a-password@'), databaseUrl)
  await until('it is ready', () => shared.ready().then(() => true, () => false), 30_000)
  const { token, pair } = await signUp(service)
  const [header = ''] = token.split('.')
  const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }
  const claims = claimsOf(pair) as unknown as Parameters<typeof shared.isRevoked>[0]
  t.equal(await shared.isRevoked(claims, kid), false)
  await logOut(service, token)
  t.equal(await shared.isRevoked(claims, kid), true)
  await redis.admin.flushall()
  const answers = new Set<unknown>()
  await until('it can be trusted again', async () => {
    const answer = await Promise.resolve(shared.isRevoked(claims, kid)).catch(() => 'unavailable')
    answers.add(answer)
    return answer === true
  }, 30_000)
  t.notOk(answers.has(false), 'the revoked token was never accepted')
  await t.rejects(Promise.resolve(shared.isRevoked(claims)), /The key of the token is not known/)
})

t.test('in the blocklist of the service, everyone is revoked by auth_time and not by iat, as in the service', async t => {
  const redis = await ownRedis(t)
  const { service, databaseUrl } = await startService(t, redis.url)
  const shared = await openShared(t, redis.url, databaseUrl)
  await until('it is ready', () => shared.ready().then(() => true, () => false), 30_000)
  const instant = nowSeconds() + 1
  await service.blocklist.revoke([everyoneRevocation(instant)])
  const [early, late] = [instant - 1, instant + 1]
  t.equal(await shared.isRevoked({ jti: 'a', iat: late, auth_time: early }, 'key'), true, 'a token of an old login')
  t.equal(await shared.isRevoked({ jti: 'b', iat: early, auth_time: late }, 'key'), false)
})

t.test('the blocklist of the service refuses each revocation, in a sentence (P4)', async t => {
  const redis = await ownRedis(t)
  const { databaseUrl } = await startService(t, redis.url)
  const blocklist = await openShared(t, redis.url, databaseUrl)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(auth, { blocklist, jwt: { secret: async () => 'a key' } })
  const refusal = { name: 'TypeError', message: /log out there/ }
  const exp = nowSeconds() + 60
  await t.rejects(app.revoke({ jti: 'a', exp }), refusal)
  await t.rejects(app.revokeSession('a', exp), refusal)
  await t.rejects(app.revokeSubject('ada'), refusal)
  await t.rejects(app.revokeEveryone(), refusal)
  await t.rejects(blocklist.revoke([{ scope: 'token', id: 'a', expiresAt: exp }]), refusal)
  t.equal(await redis.admin.exists(`${prefix}jti:a`), 0)
})

t.test('with the blocklist of the service, a token whose key is not known gets 503 (P3)', async t => {
  const redis = await ownRedis(t)
  const { databaseUrl } = await startService(t, redis.url)
  const blocklist = await openShared(t, redis.url, databaseUrl)
  await until('it is ready', () => blocklist.ready().then(() => true, () => false), 30_000)
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const pem = String(publicKey.export({ type: 'spki', format: 'pem' }))
  const claims = { jti: 'a', iat: nowSeconds(), auth_time: nowSeconds(), exp: nowSeconds() + 60 }
  const token = forge({ alg: 'EdDSA', kid: 'k' }, claims, ed25519(privateKey))
  // Without `complete` the key function gets no header, and the plugin no kid.
  for (const [complete, status] of [[true, 200], [false, 503]] as const) {
    const app = Fastify()
    t.teardown(() => app.close())
    const secret = { private: 'none', public: async () => pem }
    await app.register(auth, { blocklist, jwt: { secret, decode: { complete } } })
    app.get('/', { onRequest: app.authenticate }, async () => 'in')
    t.equal((await get(app, '/', token)).statusCode, status)
  }
})

t.test('an app that cannot ask for the key of a token is refused with the blocklist of the service', async t => {
  const redis = await ownRedis(t)
  const { databaseUrl } = await startService(t, redis.url)
  const blocklist = await openShared(t, redis.url, databaseUrl)
  for (const secret of ['a secret', { private: 'a', public: 'b' }] as Array<AuthOptions['jwt']['secret']>) {
    await t.rejects(Promise.resolve(Fastify().register(auth, { blocklist, jwt: { secret } })), /must be a function/)
  }
  t.throws(() => createTrusted(blocklist), /createTrusted cannot use the blocklist of the service/)
})

t.test('a database without the tables of the service is refused, and so are wrong arguments', async t => {
  const redis = await ownRedis(t)
  const empty = await openShared(t, redis.url, await databaseOfTest(t, createDatabase))
  const message = /table records is missing: this is not the database of signout/
  await t.rejects(empty.ready(), { cause: { message } })
  const query = async () => []
  t.throws(() => createServiceRecord({} as { query: typeof query }), /createServiceRecord takes a pool of pg/)
  t.throws(() => createServiceRecord({ query }, { schema: 'a' } as object), /The option schema is not known/)
  t.throws(() => createServiceRecord({ query }, 5 as unknown as object), /must be an object/)
  t.throws(() => createServiceRecord({ query }, { deadlineMs: 0 }), /deadlineMs is 0/)
})
