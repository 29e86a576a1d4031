import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { Blocklist } from '../../src/revocation/blocklist.ts'
import { createRedisBlocklist } from '../../src/blocklist/public/redis-blocklist.ts'
import { createBlocklistInRedis } from '../../src/revocation/redis-blocklist.ts'
import { createRedisConnection } from '../../src/redis/connection.ts'
import { build, scratchFolder, promptServersEnv } from '../support/app.ts'
import { signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get } from '../support/requests.ts'
import { issuedLately, nowSeconds } from '../support/tokens.ts'
import { timed, until } from '../support/wait.ts'
import { entryKey } from '../../src/entries/revocation.ts'

/** Returns how often Redis has executed a command. */
async function callsOf (redis: Redis, command: string): Promise<number> {
  const stats = await redis.info('commandstats')
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}

/** A client that opens connections, waits for a signal, writes a request on each, and prints the statuses. */
const client = `
  const { connect } = require('node:net')
  const { once } = require('node:events')
  const { writeFileSync } = require('node:fs')
  const [url, token, count, written] = process.argv.slice(1)
  const { hostname, port, pathname } = new URL(url)
  const request = ['GET ' + pathname + ' HTTP/1.1', 'Host: ' + hostname, 'Authorization: Bearer ' + token, 'Connection: close', '', ''].join('\\r\\n')
  async function main () {
    const sockets = Array.from({ length: Number(count) }, () => connect(port, hostname))
    await Promise.all(sockets.map(socket => once(socket, 'connect')))
    console.log('connected')
    await once(process.stdin, 'data')
    const answers = sockets.map(async socket => {
      let answer = ''
      for await (const data of socket) answer += data
      return Number(answer.split(' ')[1])
    })
    await Promise.all(sockets.map(socket => new Promise(resolve => socket.write(request, resolve))))
    writeFileSync(written, '')
    console.log(JSON.stringify(await Promise.all(answers)))
    process.exit()
  }
  main()
`

/**
 * Sends requests from another process, each on its own open connection, and returns their statuses. The server, which
 * is this process, sleeps until all of them have arrived. Otherwise they would arrive one by one on a busy machine.
 * The connections are accepted before that. libuv accepts one in each turn, which would spread the requests as well.
 */
async function requestAtOnce (t: Test, app: FastifyInstance, token: string, count: number): Promise<number[]> {
  const url = `${await app.listen({ port: 0 })}/token`
  let accepted = 0
  app.server.on('connection', () => { accepted++ })
  const written = join(scratchFolder(t), 'written')
  const child = spawn(process.execPath, ['-e', client, url, token, String(count), written], {
    stdio: ['pipe', 'pipe', 'inherit']
  })
  t.teardown(() => { child.kill('SIGKILL') })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  t.equal((await lines.next()).value, 'connected')
  await until('all connections are accepted', () => accepted === count)
  child.stdin.write('go')
  const sleeping = new Int32Array(new SharedArrayBuffer(4))
  for (let naps = 0; naps < 1_000 && !existsSync(written); naps++) Atomics.wait(sleeping, 0, 0, 10)
  return JSON.parse(String((await lines.next()).value))
}

t.test('200 concurrent authenticated requests send at most 40 look-up commands (P7)', async t => {
  const { url } = await ownRedis(t)
  const app = await build(t, { ...await promptServersEnv(t), REDIS_URL: url, BLOCKLIST_DEADLINE_MS: '5000' })
  const behind = new Redis(url)
  t.teardown(() => { behind.disconnect() })
  const { token } = await signUp(app)

  for (const [name, send] of Object.entries({
    'within the process': () =>
      Promise.all(
        Array.from(
          { length: 200 },
          async () => (await get(app, '/token', token)).statusCode
        )
      ),
    'over 200 connections': () => requestAtOnce(t, app, token, 200)
  })) {
    const before = await callsOf(behind, 'mget')
    const others = async () => await callsOf(behind, 'exists') + await callsOf(behind, 'get')
    const othersBefore = await others()
    const { value: statuses, elapsedMs } = await timed(send)
    const sent = await callsOf(behind, 'mget') - before
    t.same(statuses, Array.from({ length: 200 }, () => 200), name)
    t.ok(sent >= 1 && sent <= 40, `${name}: ${sent} commands`)
    t.ok(
      (await others()) - othersBefore < 10 + elapsedMs / 100,
      'and no others, but for the projector, which looks at the marker once a second'
    )
  }
})

/** A blocklist on a Redis of its own, and a way to look behind it. */
async function ownBlocklist (t: Test): Promise<{ behind: Redis, blocklist: Blocklist }> {
  const { url } = await ownRedis(t)
  const behind = new Redis(url)
  t.teardown(() => { behind.disconnect() })
  const redis = createRedisConnection(url, { deadlineMs: 2_000 })
  await redis.connect()
  const blocklist = createRedisBlocklist({ redis, prefix: 'p:', leewaySeconds: 5, deadlineMs: 2_000 })
  t.teardown(() => blocklist.close())
  return { behind, blocklist }
}

t.test('one look-up command reads at most 1,000 keys', async t => {
  const { behind, blocklist } = await ownBlocklist(t)
  const before = await callsOf(behind, 'mget')
  await Promise.all(
    Array.from({ length: 1_250 }, (_, index) => blocklist.isRevoked(issuedLately(`t${index}`, `s${index}`)))
  )
  t.equal(await callsOf(behind, 'mget') - before, 3, '2,500 keys')
})

t.test('an entry in Redis is a shared integer under the prefix, and ends at its time', async t => {
  const { behind, blocklist } = await ownBlocklist(t)
  const expiresAt = nowSeconds() + 60
  const [jti, sid] = [randomUUID(), randomUUID()]
  await blocklist.revoke([{ scope: 'token', id: jti, expiresAt }, { scope: 'session', id: sid, expiresAt }])

  t.same(
    (await behind.keys('*')).sort(),
    ['p:cut-off', `p:jti:${jti.replaceAll('-', '')}`, `p:sid:${sid.replaceAll('-', '')}`].sort()
  )
  t.equal(await behind.get(`p:${entryKey('token', jti)}`), '1')
  t.equal(await behind.object('ENCODING', `p:${entryKey('token', jti)}`), 'int')
  t.equal(await behind.pexpiretime(`p:${entryKey('token', jti)}`), (expiresAt + 15) * 1000)

  await t.test('an entry without an expiry, from another program, is not changed', async t => {
    await behind.set('p:jti:forever', 1)
    await blocklist.revoke([{ scope: 'token', id: 'forever', expiresAt }])
    t.equal(await behind.pexpiretime('p:jti:forever'), -1)
  })

  await t.test('a key of another type is an error, and not a success that revokes nothing', async t => {
    await behind.hset('p:jti:hash', 'a', 1)
    await t.rejects(blocklist.revoke([{ scope: 'token', id: 'hash', expiresAt }]), /WRONGTYPE/)
  })

  await t.test('revocations are written even after Redis has lost the script', async t => {
    await behind.script('FLUSH')
    await blocklist.revoke([{ scope: 'token', id: 'after', expiresAt }])
    t.equal(await blocklist.isRevoked(issuedLately('after')), true)
  })

  await t.test('many revocations are written in one round trip', async t => {
    const before = await callsOf(behind, 'evalsha')
    await blocklist.revoke(
      Array.from({ length: 1_000 }, (_, index) => ({ scope: 'session', id: `s${index}`, expiresAt }) as const)
    )
    t.equal(await callsOf(behind, 'evalsha') - before, 1)
  })
})

t.test('a look-up refuses a token by the cut-off that came with its answer, and not by an earlier one', async t => {
  let cutOff = 0
  const blocklist = createBlocklistInRedis({
    prefix: 'p:',
    leewaySeconds: 0,
    trust: {
      async read (names) { cutOff = 1_000; return names.map(() => null) },
      refuses: (issuedAt = 0) => issuedAt < cutOff,
      async untilReady () {}
    },
    async write () {},
    onClose () {}
  })
  t.equal(await blocklist.isRevoked({ jti: 'a', iat: 999 }), true)
  t.equal(await blocklist.isRevoked({ jti: 'a', iat: 1_000 }), false)
})
