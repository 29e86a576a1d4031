import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import type { Blocklist, LookupAnswered } from '../../src/revocation/blocklist.ts'
import { createMemoryBlocklist } from '../../src/revocation/memory-blocklist.ts'
import { createRevocationCheck, type CheckResult } from '../../src/revocation/revocation-check.ts'

const claims = { jti: 'a' }
const turn = () => new Promise<void>(resolve => { setImmediate(resolve) })

/** A check of a blocklist that is asked by callback, and what came of it. */
function checking (lookUp: Blocklist['lookUp'], deadlineMs = 10_000) {
  const counted: CheckResult[] = []
  const check = createRevocationCheck({ ...createMemoryBlocklist({ leewaySeconds: 0, deadlineMs }), ...lookUp && { lookUp } }, result => { counted.push(result) })
  const codes: string[] = []
  const run = () => { check(claims, error => { codes.push(error?.code ?? 'accepted') }) }
  return { check, run, codes, counted }
}

t.test('the answer of a callback is what it says, at once or later', async t => {
  const answers: Record<string, [(answered: LookupAnswered) => void, string]> = {
    'not revoked': [answered => { answered(undefined, false) }, 'accepted'],
    revoked: [answered => { answered(undefined, true) }, 'token_revoked'],
    'no error in the way of Node': [answered => { answered(null, false) }, 'accepted'],
    'an error': [answered => { answered(new Error('ECONNREFUSED')) }, 'revocation_unavailable'],
    'an error and an answer': [answered => { answered(new Error('ECONNREFUSED'), false) }, 'revocation_unavailable'],
    'an error that is false': [answered => { answered(false, false) }, 'revocation_unavailable'],
    nothing: [answered => { answered(undefined) }, 'revocation_unavailable'],
    'a number': [answered => { answered(undefined, 0 as unknown as boolean) }, 'revocation_unavailable'],
    'an exception': [() => { throw new Error('closed') }, 'revocation_unavailable'],
    'an exception after an answer': [answered => { answered(undefined, false); throw new Error('closed') }, 'revocation_unavailable'],
    'two answers': [answered => { answered(undefined, true); answered(undefined, false) }, 'token_revoked']
  }
  for (const [name, [answer, code]] of Object.entries(answers)) {
    const atOnce = checking((_claims, answered) => { answer(answered) })
    atOnce.run()
    t.same(atOnce.codes, [code], `${name}, at once`)
    if (name.startsWith('an exception')) continue
    const later = checking((_claims, answered) => { setImmediate(answer, answered) })
    later.run()
    t.same(later.codes, [])
    await turn()
    t.same(later.codes, [code], `${name}, later`)
    t.same(later.counted, atOnce.counted)
  }
})

t.test('no answer within the deadline is none, for everyone who waits, and one that comes after that changes nothing (P3)', async t => {
  const late: LookupAnswered[] = []
  const { run, codes, counted } = checking((_claims, answered) => { late.push(answered) }, 30)
  for (let turns = 0; turns < 3; turns++) {
    run()
    run()
    await turn()
  }
  late[1]?.(undefined, false)
  t.same(codes, ['accepted'], 'one of the first turn was answered in time')
  await new Promise(resolve => { setTimeout(resolve, 200) })
  t.same(codes, ['accepted', ...Array.from({ length: 5 }, () => 'revocation_unavailable')])
  for (const answered of late) answered(undefined, false)
  t.equal(codes.length, 6)
  t.equal(counted.length, 6)
})

t.test('no timer is left when all have been answered', async t => {
  const { run } = checking((_claims, answered) => { setImmediate(answered, undefined, false) })
  const timers = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const before = timers()
  run()
  run()
  t.equal(timers(), before + 1, 'one for both')
  await turn()
  await turn()
  t.equal(timers(), before)
})

t.test('each check goes on in the context that it began in, though one answer settles them all', async t => {
  const storage = new AsyncLocalStorage<string>()
  const waiting: LookupAnswered[] = []
  const { check } = checking((_claims, answered) => { waiting.push(answered) }, 50)
  const seen: Array<string | undefined> = []
  for (const request of ['one', 'two', 'three']) storage.run(request, () => { check(claims, () => { seen.push(storage.getStore()) }) })
  storage.run('the batch', () => { for (const answered of waiting.slice(0, 2)) answered(undefined, false) })
  t.same(seen, ['one', 'two'])
  await new Promise(resolve => { setTimeout(resolve, 200) })
  t.same(seen, ['one', 'two', 'three'], 'by the deadline too')
})
