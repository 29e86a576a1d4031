import t from 'tap'
import { benchCoalescer, benchMemoryBlocklist } from './parts.ts'

t.test('the benchmark of the coalescer makes the given look-ups, in one command for each turn (P7)', async t => {
  const { microsEach, ...counts } = await benchCoalescer(20, 50)
  t.same(counts, { lookups: 1_000, found: 100, commands: 20 })
  t.ok(microsEach > 0)
})

t.test('the benchmark of the blocklist in memory finds the revoked tokens', async t => {
  const { microsEach, ...counts } = await benchMemoryBlocklist(1_000, 5_000)
  t.same(counts, { lookups: 5_000, found: 500, commands: 0 })
  t.ok(microsEach > 0)
})
