import { randomUUID } from 'node:crypto'
import { createCoalescer } from '../../src/revocation/coalescer.ts'
import { createMemoryBlocklist } from '../../src/revocation/memory-blocklist.ts'
import { nowSeconds } from '../support/tokens.ts'

/** The counts of a benchmark, and the time per look-up. */
export interface PartResult {
  lookups: number
  found: number
  commands: number
  microsEach: number
}

/** Measures look-ups through the coalescer, in several turns of the event loop. Every tenth look-up finds an entry. */
export async function benchCoalescer (turns: number, lookupsPerTurn: number): Promise<PartResult> {
  let commands = 0
  const anyExists = createCoalescer(async keys => {
    commands++
    return keys.map(key => key.endsWith('0') ? '1' : null)
  }, { maxEntries: 997 })
  let found = 0
  const startedAt = performance.now()
  for (let turn = 0; turn < turns; turn++) {
    const answers = Array.from({ length: lookupsPerTurn }, (_, index) => anyExists([`jti:${index}`, `sid:x${index}`]))
    for (const exists of await Promise.all(answers)) if (exists) found++
  }
  const lookups = turns * lookupsPerTurn
  return { lookups, found, commands, microsEach: (performance.now() - startedAt) * 1000 / lookups }
}

/** Measures look-ups in a blocklist in memory with this number of entries. Every tenth look-up finds an entry. */
export async function benchMemoryBlocklist (entries: number, lookups: number): Promise<PartResult> {
  const blocklist = createMemoryBlocklist({ leewaySeconds: 5 })
  const ids = Array.from({ length: entries }, () => randomUUID())
  await blocklist.revoke(ids.map(id => ({ scope: 'session', id, expiresAt: nowSeconds() + 3_600 })))
  const claims = Array.from({ length: 1_000 }, (_, index) => ({
    jti: randomUUID(), sid: index % 10 === 0 ? ids[index % entries] ?? '' : randomUUID()
  }))
  let found = 0
  const startedAt = performance.now()
  for (let lookup = 0; lookup < lookups; lookup++) {
    if (blocklist.isRevoked(claims[lookup % claims.length] ?? { jti: '' }) === true) found++
  }
  const microsEach = (performance.now() - startedAt) * 1000 / lookups
  await blocklist.close()
  return { lookups, found, commands: 0, microsEach }
}
