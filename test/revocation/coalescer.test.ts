import t from 'tap'
import { createCoalescer, type ReadMany } from '../../src/revocation/coalescer.ts'

const turn = () => new Promise<void>(resolve => { setImmediate(resolve) })

/** Returns a reader over a set of keys that keeps its commands. */
function recording (existing: string[] = []): { readMany: ReadMany, commands: string[][] } {
  const commands: string[][] = []
  const readMany: ReadMany = async keys => {
    commands.push([...keys])
    return keys.map(key => existing.includes(key) ? '1' : null)
  }
  return { readMany, commands }
}

t.test('look-ups of one turn of the event loop are one command, with any number of keys (P7)', async t => {
  const { readMany, commands } = recording(['b', 'e'])
  const anyExists = createCoalescer(readMany, { maxEntries: 100 })
  t.same(await Promise.all([anyExists(['a']), anyExists(['b', 'c']), anyExists(['d', 'e', 'f']), anyExists(['g'])]), [
    false,
    true,
    true,
    false
  ])
  t.same(commands, [['a', 'b', 'c', 'd', 'e', 'f', 'g']])
})

t.test('a look-up of a later turn sends a new command', async t => {
  const { readMany, commands } = recording()
  const anyExists = createCoalescer(readMany, { maxEntries: 100 })
  const first = anyExists(['a'])
  await turn()
  const second = anyExists(['a'])
  await Promise.all([first, second])
  t.same(commands, [['a'], ['a']])
})

t.test('no look-up joins a batch that was sent, even while the batch is under way', async t => {
  const commands: string[][] = []
  let answer = (_values: null[]) => {}
  const anyExists = createCoalescer(keys => {
    commands.push([...keys])
    return new Promise(resolve => { answer = resolve })
  }, { maxEntries: 100 })
  const first = anyExists(['a'])
  await turn()
  const second = anyExists(['b'])
  answer([null])
  t.equal(await first, false)
  await turn()
  answer([null])
  t.equal(await second, false)
  t.same(commands, [['a'], ['b']])
})

t.test('a long batch is split, and the keys of one look-up stay together', async t => {
  const { readMany, commands } = recording(['k9'])
  const anyExists = createCoalescer(readMany, { maxEntries: 4 })
  const answers = await Promise.all(
    Array.from({ length: 5 }, (_, index) => anyExists([`k${2 * index}`, `k${2 * index + 1}`]))
  )
  t.same(answers, [false, false, false, false, true])
  t.same(commands, [['k0', 'k1', 'k2', 'k3'], ['k4', 'k5', 'k6', 'k7'], ['k8', 'k9']])
})

t.test('a failed batch fails its own look-ups and nothing else', async t => {
  const anyExists = createCoalescer(async keys => {
    if (keys.includes('bad')) throw new Error('Command timed out')
    return keys.map(() => null)
  }, { maxEntries: 2 })
  const answers = await Promise.allSettled([anyExists(['a']), anyExists(['bad']), anyExists(['c']), anyExists(['d'])])
  t.same(answers.map(answer => answer.status), ['rejected', 'rejected', 'fulfilled', 'fulfilled'])
  t.equal(await anyExists(['e']), false, 'and the next goes on')
})

t.test('a command that throws, or returns too few values, is a failure and not "not revoked"', async t => {
  const throwing = createCoalescer(() => { throw new Error('not connected') }, { maxEntries: 100 })
  await t.rejects(throwing(['a']), { message: 'not connected' })
  const short = createCoalescer(async () => [null], { maxEntries: 100 })
  await t.rejects(Promise.all([short(['a']), short(['b'])]), { message: '2 entries were asked for and 1 answered.' })
})

t.test('an error about one entry of a look-up fails the look-up only if no other entry exists', async t => {
  const anyExists = createCoalescer(
    async names => names.map(name => name === 'unsure' ? new Error('unsure') : name === 'revoked' ? '1' : null),
    { maxEntries: 100 }
  )
  const answers = await Promise.allSettled([
    anyExists(['unsure', 'revoked']),
    anyExists(['revoked', 'unsure']),
    anyExists(['unsure', 'none']),
    anyExists(['none', 'unsure']),
    anyExists(['none'])
  ])
  t.match(answers, [
    { value: true },
    { value: true },
    { status: 'rejected', reason: { message: 'unsure' } },
    { status: 'rejected', reason: { message: 'unsure' } },
    { value: false }
  ])
})
