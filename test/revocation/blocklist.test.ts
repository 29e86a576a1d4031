import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { createEmbeddedBlocklist } from '../../src/blocklist/embedded.ts'
import { createMemoryBlocklist } from '../../src/revocation/memory-blocklist.ts'
import { createRedisBlocklist } from '../../src/blocklist/public/redis-blocklist.ts'
import { createRedisConnection } from '../../src/redis/connection.ts'
import { entryEndsAt, entryKey } from '../../src/entries/revocation.ts'
import { formatMarker } from '../../src/record/marker.ts'
import { redisUrl, scratchPrefix } from '../support/services.ts'
import { testRevocationsOfAll, testBlocklist, type BlocklistUnderTest } from './blocklist.contract.ts'

const leewaySeconds = 2

t.test('the entry of a token lasts longer than any replica could accept the token', async t => {
  t.equal(entryEndsAt(1_000, 5), 1_015_000)
  t.equal(entryEndsAt(1_000, 0), 1_000_000)
  t.equal(entryEndsAt(1_000.0005, 5), 1_015_001, 'a fraction of a millisecond is not cut off')
})

t.test('the name of an entry loses the hyphens of a UUID, and no other character of an id', async t => {
  const uuid = '01234567-89ab-4cde-8f01-23456789abcd'
  t.equal(entryKey('token', uuid), 'jti:0123456789ab4cde8f0123456789abcd')
  for (const index of [8, 13, 18, 23]) {
    const likeUuid = `${uuid.slice(0, index)}x${uuid.slice(index + 1)}`
    t.equal(entryKey('token', likeUuid), `jti:${likeUuid}`)
  }
  t.equal(entryKey('session', `${uuid}-`), `sid:${uuid}-`)
})

t.test('the blocklist in memory keeps the contract of a blocklist', t => testBlocklist(t, leewaySeconds, async () => {
  const blocklist = createMemoryBlocklist({ leewaySeconds })
  return { blocklist, countEntries: async () => blocklist.size }
}))

t.test('the blocklist in memory revokes keys and everyone', t => testRevocationsOfAll(t, async () => ({
  blocklist: createMemoryBlocklist({ leewaySeconds })
})))

t.test('the blocklist in Redis keeps the contract of a blocklist', t => testBlocklist(t, leewaySeconds, redisBlocklist))

async function redisBlocklist (t: Test): Promise<BlocklistUnderTest> {
  const prefix = scratchPrefix(t)
  const redis = createRedisConnection(redisUrl(), { deadlineMs: 2_000 })
  await redis.connect()
  const behind = new Redis(redisUrl())
  t.teardown(() => { behind.disconnect() })
  const blocklist = createRedisBlocklist({ redis, prefix, leewaySeconds, deadlineMs: 2_000 })
  t.teardown(() => blocklist.close())
  return {
    blocklist,
    async countEntries () {
      let count = 0
      for await (const keys of behind.scanStream({ match: `${prefix}*`, count: 1_000 })) {
        count += keys.filter((key: string) => key !== `${prefix}cut-off`).length
      }
      return count
    },
    async findEnd (key) {
      const endsAt = await behind.pexpiretime(prefix + key)
      return endsAt === -2 ? undefined : endsAt
    }
  }
}

t.test('the blocklist in memory never shortens an entry', async t => {
  let now = 1_000_000
  const blocklist = createMemoryBlocklist({ leewaySeconds: 0, now: () => now })
  await blocklist.revoke([{ scope: 'token', id: 'a', expiresAt: 1_600 }])
  await blocklist.revoke([{ scope: 'token', id: 'a', expiresAt: 1_001 }])
  now += 100_000
  t.equal(blocklist.isRevoked({ jti: 'a' }), true)
})

t.test('expired entries are dropped from memory by look-ups and by revocations', async t => {
  let now = 1_000_000
  const blocklist = createMemoryBlocklist({ leewaySeconds: 0, now: () => now })
  const expiresAt = (seconds: number) => 1_000 + seconds
  await blocklist.revoke([
    { scope: 'token', id: 'short', expiresAt: expiresAt(1) },
    { scope: 'token', id: 'extended', expiresAt: expiresAt(1) },
    { scope: 'token', id: 'long', expiresAt: expiresAt(1_000) }
  ])
  await blocklist.revoke([{ scope: 'token', id: 'extended', expiresAt: expiresAt(60) }])
  t.equal(blocklist.size, 3)
  now += 999
  t.equal(blocklist.isRevoked({ jti: 'short' }), true)
  now += 1
  t.equal(blocklist.isRevoked({ jti: 'short' }), false, 'to the millisecond')
  now += 20_000
  blocklist.isRevoked({ jti: 'anything' })
  t.equal(blocklist.size, 2, 'a look-up swept the short one')
  t.equal(blocklist.isRevoked({ jti: 'extended' }), true)
  now += 60_000
  await blocklist.revoke([])
  t.equal(blocklist.size, 1, 'a revocation swept the extended one')
  now += 1_000_000
  blocklist.isRevoked({ jti: 'anything' })
  t.equal(blocklist.size, 0)
})

t.test('the embedded blocklist is rebuilt after the clock was ahead and entries ended too early (P2)', async t => {
  let now = 1_000_000
  const { blocklist, projection } = createEmbeddedBlocklist({ leewaySeconds, now: () => now })
  const recordId = '00000000-0000-4000-8000-000000000001'
  async function rebuild (): Promise<void> {
    await projection.begin(recordId, 'claim')
    const marker = formatMarker({ recordId, position: 1 })
    await projection.advance('claim', marker, [{ scope: 'token', id: 'a', expiresAt: 1_600 }])
  }
  await rebuild()
  t.equal(await blocklist.isRevoked({ jti: 'a' }), true)
  now += 3_600_000
  t.equal(await blocklist.isRevoked({ jti: 'a' }), false, 'nobody accepts it now')
  now -= 3_600_000
  t.throws(() => blocklist.isRevoked({ jti: 'a' }), { name: 'UntrustedError' }, 'the very look-up that finds it')
  await t.rejects(blocklist.ping(), { name: 'UntrustedError' })
  await rebuild()
  t.equal(await blocklist.isRevoked({ jti: 'a' }), true)
  now -= leewaySeconds * 1000
  t.equal(await blocklist.isRevoked({ jti: 'a' }), true, 'a step within the leeway is none')
  now -= leewaySeconds * 1000 + 1
  t.throws(() => blocklist.isRevoked({ jti: 'a' }), { name: 'UntrustedError' }, 'and a longer one is')
})
