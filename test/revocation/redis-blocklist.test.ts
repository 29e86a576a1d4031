import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import t from 'tap'
import { createRedisBlocklist } from '../../src/revocation/redis-blocklist.ts'
import { createRedisConnection } from '../../src/revocation/redis-connection.ts'
import { build, serversEnv } from '../support/app.ts'
import { bearer, signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { nowSeconds } from '../support/tokens.ts'

/** How often Redis has executed a command. */
async function callsOf (redis: Redis, command: string): Promise<number> {
  const stats = await redis.info('commandstats')
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}

/** Sends requests at the same time from a process of its own, as clients do, and answers their statuses. */
async function requestFromAnotherProcess (url: string, token: string, count: number): Promise<number[]> {
  const script = `
    const [url, token, count] = process.argv.slice(1)
    const send = () => new Promise((resolve, reject) => {
      require('node:http').get(url, { headers: { authorization: 'Bearer ' + token } }, response => {
        response.resume().on('end', () => resolve(response.statusCode))
      }).on('error', reject)
    })
    Promise.all(Array.from({ length: Number(count) }, send)).then(statuses => console.log(JSON.stringify(statuses)))
  `
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script, url, token, String(count)])
  return JSON.parse(stdout)
}

t.test('200 concurrent authenticated requests send at most 40 look-up commands (P7)', async t => {
  const { url } = await ownRedis(t)
  const app = await build(t, { ...await serversEnv(t), REDIS_URL: url, BLOCKLIST_DEADLINE_MS: '5000' })
  const behind = new Redis(url)
  t.teardown(() => { behind.disconnect() })
  const { token } = await signUp(app)
  const address = await app.listen({ port: 0 })

  for (const [name, send] of Object.entries({
    'within the process': () => Promise.all(Array.from({ length: 200 }, async () => (await app.inject({ url: '/token', headers: bearer(token) })).statusCode)),
    'over 200 connections': () => requestFromAnotherProcess(`${address}/token`, token, 200)
  })) {
    const before = await callsOf(behind, 'mget')
    const statuses = await send()
    const sent = await callsOf(behind, 'mget') - before
    t.same(statuses, Array.from({ length: 200 }, () => 200), name)
    t.ok(sent >= 1 && sent <= 40, `${name}: ${sent} commands`)
    t.equal(await callsOf(behind, 'exists') + await callsOf(behind, 'get'), 0, 'and no others')
  }
})

t.test('an entry is a shared integer under the prefix, and ends at its time', async t => {
  const { url } = await ownRedis(t)
  const behind = new Redis(url)
  t.teardown(() => { behind.disconnect() })
  const redis = createRedisConnection(url, { deadlineMs: 2_000 })
  await redis.connect()
  const blocklist = createRedisBlocklist({ redis, prefix: 'p:', leewaySeconds: 5 })
  t.teardown(() => blocklist.close())
  const expiresAt = nowSeconds() + 60
  const [jti, sid] = [randomUUID(), randomUUID()]
  await blocklist.revoke([{ scope: 'token', id: jti, expiresAt }, { scope: 'session', id: sid, expiresAt }])

  t.same((await behind.keys('*')).sort(), [`p:jti:${jti}`, `p:sid:${sid}`].sort())
  t.equal(await behind.get(`p:jti:${jti}`), '1')
  t.equal(await behind.object('ENCODING', `p:jti:${jti}`), 'int')
  t.equal(await behind.pexpiretime(`p:jti:${jti}`), (expiresAt + 15) * 1000)

  await t.test('and one without an end, from another hand, is left alone', async t => {
    await behind.set('p:jti:forever', 1)
    await blocklist.revoke([{ scope: 'token', id: 'forever', expiresAt }])
    t.equal(await behind.pexpiretime('p:jti:forever'), -1)
  })

  await t.test('and writing goes on after Redis has forgotten the script', async t => {
    await behind.script('FLUSH')
    await blocklist.revoke([{ scope: 'token', id: 'after', expiresAt }])
    t.equal(await blocklist.isRevoked({ jti: 'after' }), true)
  })

  await t.test('and many are written in one trip', async t => {
    const before = await callsOf(behind, 'evalsha')
    await blocklist.revoke(Array.from({ length: 1_000 }, (_, index) => ({ scope: 'session', id: `s${index}`, expiresAt } as const)))
    t.equal(await callsOf(behind, 'evalsha') - before, 1)
  })
})
