import t from 'tap'
import { byEntry } from '../../src/trust/head-poll.ts'
import type { RecentRevocation } from '../../src/record/queries.ts'
import { createRecordTrust, type RecordTrustOptions } from '../../src/trust/by-record.ts'
import type { Standing } from '../../src/trust/standing.ts'
import { linkTo } from '../../src/redis/link.ts'
import { evictWhatEnds, ownRedis } from '../support/redis-server.ts'
import { at, ours } from './standing-scene.ts'

/** A standing that trusts each marker on one connection, or finds each marker behind. */
function standingAt (behindAt?: number): Standing {
  return {
    trust: 'trusted',
    look: () => ({ epoch: 1, position: 5 }),
    accept: () => behindAt,
    confirm () {},
    noteProgress () {},
    refuse: (reason: string) => new Error(reason)
  } as unknown as Standing
}

const askingNothing: Pick<RecordTrustOptions, 'question' | 'recent'> = {
  question: { ask: async () => ({ head: { recordId: ours, position: 6, marked: 6 }, recent: new Map() }) },
  recent: () => new Map()
}

t.test('no answer counts until the check for losses has succeeded, even if it failed before (P2)', async t => {
  const redis = await ownRedis(t)
  const { admin } = redis
  await admin.set('p:marker', at(5))
  await admin.set('another:key', 1, 'EX', 1_000)
  await evictWhatEnds(redis)
  // The marker has to be deleted, and cannot be.
  await admin.config('SET', 'min-replicas-to-write', '1')
  const trust = createRecordTrust({ link: linkTo(admin), prefix: 'p:', standing: standingAt(), ...askingNothing })
  for (const attempt of ['first', 'second', 'third']) await t.rejects(trust.read([]), /NOREPLICAS/, attempt)
  await admin.config('SET', 'min-replicas-to-write', '0')
  t.same(await trust.read(['jti:a']), [null])
  t.equal(await admin.get('p:marker'), null)
})

t.test('the first look-up whose marker is behind is refused too while there is a doubt (P2)', async t => {
  const { admin } = await ownRedis(t)
  const trust = createRecordTrust({ link: linkTo(admin), prefix: 'p:', standing: standingAt(5), ...askingNothing })
  t.same(await trust.read(['jti:a', 'sid:b']), [null, null])
  await admin.set('p:doubt', 1)
  await t.rejects(trust.read(['jti:a', 'sid:b']), { message: /there is a doubt/ })
  await t.rejects(trust.read([]), { message: /there is a doubt/ })
})

t.test('an instant of everyone counts as recorded until Redis has it, or a later one (P4)', async t => {
  const { admin } = await ownRedis(t)
  await admin.set('p:marker', at(5))
  const everyone: RecentRevocation = { scope: 'everyone', id: 'everyone', issuedBefore: 200, ageSeconds: 1 }
  const recent = () => new Map([['everyone', everyone]])
  const trust = createRecordTrust({
    link: linkTo(admin), prefix: 'p:', standing: standingAt(), ...askingNothing, recent
  })
  t.match(await trust.read(['everyone']), [{ name: 'RecordedError', issuedBefore: 200, found: 0 }])
  await admin.set('p:everyone', '100')
  t.match(await trust.read(['everyone']), [{ name: 'RecordedError', issuedBefore: 200, found: 100 }])
  for (const there of ['200', '300']) {
    await admin.set('p:everyone', there)
    t.same(await trust.read(['everyone']), [there])
  }
})

t.test('of several recorded instants of everyone, the latest counts', async t => {
  const of = (issuedBefore: number): RecentRevocation => ({
    scope: 'everyone', id: 'everyone', issuedBefore, ageSeconds: 1
  })
  for (const order of [[of(1), of(3), of(2)], [of(3), of(1)], [of(2), of(3)]]) {
    t.equal(byEntry(order).get('everyone')?.issuedBefore, 3)
  }
})
