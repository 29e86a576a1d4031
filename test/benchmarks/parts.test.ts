import t from 'tap'
import { benchCoalescer, benchMemoryBlocklist } from './parts.ts'
import { formatSignatures, measureSignatures } from './signatures.ts'

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

t.test('the benchmark of signatures measures each algorithm that the service can sign with', async t => {
  const result = await measureSignatures({ rounds: 2, seconds: 0.02, say: () => {} })
  t.same(Object.keys(result), ['EdDSA', 'ES256', 'RS256'])
  for (const [algorithm, { signMicros, verifyMicros, tokenBytes }] of Object.entries(result)) {
    t.ok(signMicros.length === 2 && signMicros.every(micros => micros > 0), algorithm)
    t.ok(verifyMicros.length === 2 && verifyMicros.every(micros => micros > 0), algorithm)
    t.ok(tokenBytes > 400, `${tokenBytes} bytes`)
  }
  t.ok(result.RS256.tokenBytes - result.EdDSA.tokenBytes === 256, 'a signature of RS256 is longer by 256 characters')
  const measured = { signMicros: [30, 10, 20], verifyMicros: [5, 4, 6], tokenBytes: 700 }
  t.match(
    formatSignatures({ EdDSA: measured, ES256: measured, RS256: measured }),
    '| ES256 | 20.0 (10.0 to 30.0) | 5.0 (4.0 to 6.0) | 700 |'
  )
})
