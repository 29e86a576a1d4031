import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { createCutOff } from '../../src/trust/by-cut-off.ts'
import { linkTo } from '../../src/redis/link.ts'
import { createRedisConnection } from '../../src/redis/connection.ts'
import { cutOffKey, expectRecovery, onRedis, prefix, startPluginReplica } from '../support/cut-off.ts'
import { proxyTo } from '../support/proxy.ts'
import { ownRedis } from '../support/redis-server.ts'
import { nowSeconds } from '../support/tokens.ts'
import { breathe, timed, until } from '../support/wait.ts'
import { entryKey } from '../../src/entries/revocation.ts'

const secondsOf = (text: string | null) => Number(text?.split(':')[1])

async function connect (t: Test, url: string): Promise<Redis> {
  const redis = createRedisConnection(url, { deadlineMs: 2_000 })
  t.teardown(() => { redis.disconnect() })
  await redis.connect()
  return redis
}

t.test('the cut-off is the next whole second after the time of Redis and the leeway, and never moves back', async t => {
  const { url } = await ownRedis(t)
  // Before it connects: Redis tells the time at which it began to read commands, and some may have come since.
  const earliest = nowSeconds() + 6
  const redis = await connect(t, url)
  const behind = await connect(t, url)
  const cutOff = createCutOff({ link: linkTo(redis), prefix, leewaySeconds: 5 })
  await cutOff.compare()
  t.ok(cutOff.seconds >= earliest && cutOff.seconds <= nowSeconds() + 6, `${cutOff.seconds - nowSeconds()} s from now`)
  t.equal(cutOff.refuses(cutOff.seconds), false)
  t.equal(cutOff.refuses(cutOff.seconds - 1), true)
  t.equal(cutOff.refuses(cutOff.seconds - 0.001), true)
  t.equal(cutOff.refuses(undefined), true)
  t.equal(cutOff.refuses(NaN), true)

  const far = cutOff.seconds + 1_000
  await behind.set(cutOffKey, `${far}:another:history`)
  await cutOff.compare()
  t.equal(cutOff.seconds, far + 1, 'later than what another clock has set')
  await behind.del(cutOffKey)
  await cutOff.compare()
  t.equal(cutOff.seconds, far + 2, 'later than what it has seen')
  const [found, before] = [await behind.get(cutOffKey), await behind.info('commandstats')]
  await cutOff.compare()
  t.equal(await behind.get(cutOffKey), found)
  const writes = /cmdstat_set:calls=\d+/
  t.equal(
    writes.exec(await behind.info('commandstats'))?.[0],
    writes.exec(before)?.[0],
    'and is left alone when nothing is wrong'
  )
})

t.test('a look-up from before the comparison, or from another connection, does not count', async t => {
  const { url, port } = await ownRedis(t)
  const proxy = await proxyTo(t, '127.0.0.1', port)
  const redis = await connect(t, `redis://127.0.0.1:${proxy.port}`)
  const behind = await connect(t, url)
  const cutOff = createCutOff({ link: linkTo(redis), prefix, leewaySeconds: 0 })
  const early = cutOff.look()
  await cutOff.compare()
  const text = await behind.get(cutOffKey)
  t.throws(() => { cutOff.accept(early, text) }, { name: 'UntrustedError' })
  const look = cutOff.look()
  cutOff.accept(look, text)

  proxy.lead(port)
  await until('it is connected again', () => redis.status !== 'ready')
  await until('it is connected again', () => cutOff.isTrusted)
  t.throws(() => { cutOff.accept(look, text) }, { name: 'UntrustedError' })
  cutOff.accept(cutOff.look(), text)

  const lookAtLater = cutOff.look()
  const later = `v2:${cutOff.seconds + 7}:${text?.split(':').slice(2).join(':')}`
  cutOff.accept(lookAtLater, later)
  t.equal(cutOff.seconds, secondsOf(later), 'a later one that another replica has set is taken over')
  cutOff.accept(lookAtLater, text)
  const lookAfter = cutOff.look()
  t.throws(() => { cutOff.accept(lookAfter, text) }, { name: 'UntrustedError' }, 'and going back is noticed')
})

t.test('a comparison that is answered after the connection has changed does not count', async t => {
  const { url } = await ownRedis(t)
  const link = linkTo(await connect(t, url))
  let change = (_isReady: boolean) => {}
  let isAnswered = false
  let deliver = () => {}
  const delivered = new Promise<void>(resolve => { deliver = resolve })
  const cutOff = createCutOff({
    prefix,
    leewaySeconds: 0,
    link: {
      ...link,
      isReady: false,
      onChanged (listener) { change = listener },
      async run (command) {
        const answer = await link.run(command)
        isAnswered = true
        await delivered
        return answer
      }
    }
  })
  const comparing = cutOff.compare()
  await until('Redis has answered', () => isAnswered)
  change(false)
  deliver()
  await t.rejects(comparing, { name: 'UntrustedError' })
  t.equal(cutOff.isTrusted, false)
})

t.test('a cut-off of the first format is kept, and one of an unknown format is trusted by no version', async t => {
  const { url } = await ownRedis(t)
  const [redis, behind] = [await connect(t, url), await connect(t, url)]
  const cutOff = createCutOff({ link: linkTo(redis), prefix, leewaySeconds: 5 })
  await cutOff.compare()
  const found = String(await behind.get(cutOffKey))
  await behind.set(cutOffKey, found.replace(/^v2:/, ''))
  await cutOff.compare()
  t.equal(await behind.get(cutOffKey), found, 'an upgrade signs no user out')
  const unknown = found.replace(/^v2:/, 'v3:')
  await behind.set(cutOffKey, unknown)
  t.throws(() => { cutOff.accept(cutOff.look(), unknown) }, { name: 'UntrustedError' })
  await t.rejects(cutOff.compare(), /unknown format 3/)
  t.equal(await behind.get(cutOffKey), unknown, 'it is left to the version that knows it')
})

t.test('a missing or invalid cut-off in Redis is replaced by a later one', async t => {
  const { url } = await ownRedis(t)
  const a = await startPluginReplica(t, url)
  const revoked = await a.issue()
  await a.revoke(revoked)
  const behind = await connect(t, url)
  const right = await behind.get(cutOffKey) ?? ''
  for (const wrong of [
    undefined,
    '',
    'nonsense',
    `v2:${nowSeconds() - 1_000}:${right.split(':').slice(2).join(':')}`,
    right.replace(/:\w+:\w+$/, ':another:history'),
    right.replace(/:\w+$/, ':another')
  ]) {
    const before = a.cutOffs.at(-1) ?? 0
    await behind.del(prefix + entryKey('token', String(a.app.jwt.decode<{ jti: string }>(revoked)?.jti)), cutOffKey)
    if (wrong !== undefined) await behind.set(cutOffKey, wrong)
    await expectRecovery(t, [a], revoked)
    t.ok((a.cutOffs.at(-1) ?? 0) > before, JSON.stringify(wrong))
  }
})

t.test('a replica that cannot set the cut-off accepts no token', async t => {
  const server = await ownRedis(t)
  const admin = await connect(t, server.url)
  const a = await startPluginReplica(t, server.url)
  const kept = await a.issue()
  const tokens = [kept]
  const expectNothing = async (name: string) => {
    const statuses = new Set<number>()
    const over = Date.now() + 500
    do {
      for (const token of tokens) statuses.add(await a.statusOf(token))
      await breathe()
    } while (Date.now() < over)
    t.same([...statuses], [503], name)
    await t.rejects(a.blocklist.ready(), { code: 'revocation_unavailable' }, name)
    await t.rejects(a.blocklist.ping(), name)
  }
  await admin.acl('SETUSER', 'default', '-set')
  await admin.flushall()
  await expectNothing('an ACL')
  await admin.acl('SETUSER', 'default', '+set')
  await expectRecovery(t, [a], kept)

  const issued = await a.issue()
  t.equal(await a.statusOf(issued), 200)
  tokens[0] = issued
  await admin.replicaof('127.0.0.1', 1)
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await until('it is connected again', async () => String(await admin.client('LIST')).trim().split('\n').length === 2)
  await expectNothing('a primary that was made a replica')
  await admin.replicaof('NO', 'ONE')
  await expectRecovery(t, [a], issued)
})

t.test('tokens issued within the leeway after the cut-off are refused, and ready() waits until it is over', async t => {
  const { url } = await ownRedis(t)
  const a = await startPluginReplica(t, url, 1)
  await until('the cut-off is set', async () => a.cutOffs.length === 1)
  const early = a.app.jwt.sign({ jti: randomUUID(), iat: (a.cutOffs[0] ?? 0) - 1 })
  t.equal(await a.statusOf(early), 401)
  await a.blocklist.ready()
  t.ok(Date.now() >= (a.cutOffs[0] ?? 0) * 1000)
  t.equal(await a.statusOf(early), 401, 'it stays refused')
  t.equal(await a.statusOf(a.app.jwt.sign({ jti: randomUUID() })), 200)
  t.equal(
    await a.statusOf(a.app.jwt.sign({ jti: randomUUID() }, { noTimestamp: true })),
    401,
    'without an iat nobody knows'
  )
  await until('ready() waits no longer', async () => (await timed(() => a.blocklist.ready())).elapsedMs < 500)

  await onRedis(url, redis => redis.set(cutOffKey, `${nowSeconds() + 3_600}:another:history`))
  await until('the later one is noticed', async () => await a.statusOf(early) !== 200 && a.cutOffs.length === 2)
  await t.rejects(a.blocklist.ready(), {
    code: 'revocation_unavailable',
    cause: { message: /further off than the leeway explains/ }
  })
})
