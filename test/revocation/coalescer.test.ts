import t from 'tap'
import { createCoalescer, type ReadMany } from '../../src/revocation/coalescer.ts'
import { RecordedError, type Value } from '../../src/trust/trust.ts'

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

t.test('an entry that look-ups share is read once, and revokes what is before the instant in it (P7)', async t => {
  const commands: string[][] = []
  const values: Record<string, Value> = { everyone: '100', 'kid:bad': '1' }
  const anyExists = createCoalescer(async names => {
    commands.push([...names])
    return names.map(name => values[name] ?? null)
  }, { maxEntries: 100 })
  const look = (name: string, at: number | undefined, kid: string) =>
    anyExists([name], [{ name: 'everyone', at }, { name: `kid:${kid}` }])
  t.same(
    await Promise.all([
      look('a', 99, 'good'), look('b', 100, 'good'), look('c', 100, 'bad'), look('d', undefined, 'good')
    ]),
    [true, false, true, true]
  )
  t.same(commands, [['everyone', 'kid:good', 'kid:bad', 'a', 'b', 'c', 'd']])
  values['everyone'] = 'v2:100'
  await t.rejects(look('a', 99, 'good'), /does not hold a number/)
  t.equal(await look('a', 99, 'bad'), true, 'unless another entry revokes it')
})

t.test('of a recorded instant that Redis lacks, only the tokens between the two are uncertain (P1, P4)', async t => {
  const anyExists = createCoalescer(
    async names => names.map(name => name === 'everyone' ? new RecordedError(1, 200, 100) : null), { maxEntries: 100 }
  )
  const look = (at?: number) => anyExists(['a'], [{ name: 'everyone', at }])
  t.equal(await look(99), true, 'Redis revokes it')
  for (const at of [100, 199]) await t.rejects(look(at), { name: 'RecordedError' }, String(at))
  t.equal(await look(200), false)
  t.equal(await look(undefined), true)
})
