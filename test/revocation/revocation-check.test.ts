import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import type { Blocklist } from '../../src/revocation/blocklist.ts'
import { createMemoryBlocklist } from '../../src/revocation/memory-blocklist.ts'
import { createRevocationCheck, type CheckResult } from '../../src/revocation/revocation-check.ts'
import { createRevoker } from '../../src/revocation/revoker.ts'
import { until } from '../support/wait.ts'

const claims = { jti: 'a' }
const turn = () => new Promise<void>(resolve => { setImmediate(resolve) })

/** A check of a blocklist with the given answer, and its results. */
function checking (isRevoked: () => unknown, deadlineMs = 10_000) {
  const counted: CheckResult[] = []
  const memory = createMemoryBlocklist({ leewaySeconds: 0, deadlineMs })
  const blocklist = { ...memory, isRevoked: isRevoked as Blocklist['isRevoked'] }
  const check = createRevocationCheck(blocklist, result => { counted.push(result) })
  const codes: string[] = []
  const run = () => { check(claims, error => { codes.push(error?.code ?? 'accepted') }) }
  return { check, run, codes, counted }
}

/** Promises that the test settles. */
function deferring () {
  const waiting: Array<(isRevoked: boolean) => void> = []
  return { waiting, isRevoked: () => new Promise<boolean>(resolve => { waiting.push(resolve) }) }
}

const answers: Record<string, [() => unknown, string]> = {
  'not revoked': [() => false, 'accepted'],
  revoked: [() => true, 'token_revoked'],
  nothing: [() => undefined, 'revocation_unavailable'],
  'a number': [() => 0, 'revocation_unavailable'],
  'an error': [() => { throw new Error('ECONNREFUSED') }, 'revocation_unavailable'],
  // A thrown value need not be an error.
  // eslint-disable-next-line no-throw-literal
  'an error that is undefined': [() => { throw undefined }, 'revocation_unavailable']
}

t.test('a check has the result of the blocklist, at once or later', async t => {
  for (const [name, [answer, code]] of Object.entries(answers)) {
    const atOnce = checking(answer)
    atOnce.run()
    t.same(atOnce.codes, [code], `${name}, at once`)
    const later = checking(async () => { await turn(); return answer() })
    later.run()
    t.same(later.codes, [])
    await turn()
    await turn()
    t.same(later.codes, [code], `${name}, later`)
    t.same(later.counted, atOnce.counted)
  }
})

t.test('each check without an answer within the deadline is 503, and a later answer changes nothing (P3)', async t => {
  const { waiting, isRevoked } = deferring()
  const { run, codes, counted } = checking(isRevoked, 1_500)
  for (let turns = 0; turns < 3; turns++) {
    run()
    run()
    await turn()
  }
  waiting[1]?.(false)
  await turn()
  t.same(codes, ['accepted'], 'one of the first turn was answered within the deadline')
  await until('the deadline has passed', () => codes.length === 6)
  t.same(codes, ['accepted', ...Array.from({ length: 5 }, () => 'revocation_unavailable')])
  for (const answer of waiting) answer(false)
  await turn()
  t.equal(codes.length, 6)
  t.equal(counted.length, 6)
})

t.test('no timer is left once all checks were answered, in the same turn or later', async t => {
  const timers = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  for (const isRevoked of [async () => { await turn(); return false }, async () => false]) {
    const { run } = checking(isRevoked)
    const before = timers()
    run()
    run()
    t.equal(timers(), before + 1, 'one for both')
    await turn()
    await turn()
    await turn()
    t.equal(timers(), before)
  }
})

t.test('each check continues in the context that it began in, although one answer settles all checks', async t => {
  const storage = new AsyncLocalStorage<string>()
  const { waiting, isRevoked } = deferring()
  const { check } = checking(isRevoked, 1_500)
  const seen: Array<string | undefined> = []
  for (const request of ['one', 'two', 'three']) {
    storage.run(request, () => { check(claims, () => { seen.push(storage.getStore()) }) })
  }
  storage.run('the batch', () => { for (const answer of waiting.slice(0, 2)) answer(false) })
  await turn()
  t.same(seen, ['one', 'two'])
  await until('the deadline has passed', () => seen.length === 3)
  t.same(seen, ['one', 'two', 'three'], 'by the deadline too')
})

t.test('a revocation without an answer within the deadline is 503, and waits no longer (P3)', async t => {
  const deadlineMs = 500
  const memory = createMemoryBlocklist({ leewaySeconds: 0, deadlineMs })
  const { revoke } = createRevoker({ ...memory, revoke: () => new Promise(() => {}) })
  const startedAt = performance.now()
  await t.rejects(revoke([]), { code: 'revocation_unavailable', cause: { name: 'DeadlineError' } })
  const elapsedMs = performance.now() - startedAt
  t.ok(elapsedMs > deadlineMs - 5 && elapsedMs < 10 * deadlineMs, `within ${Math.round(elapsedMs)} ms`)
})
