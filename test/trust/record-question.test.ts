import t from 'tap'
import { createRecordQuestion } from '../../src/trust/record-question.ts'
import type { RecordAfter } from '../../src/record/record.ts'

const head: RecordAfter = { recordId: '00000000-0000-4000-8000-000000000001', position: 9, marked: 9, recent: [] }
const turn = () => new Promise<void>(resolve => { setImmediate(resolve) })

/** A question to a record that keeps its queries, and answers each of them when the test says so. */
function asking () {
  const queries: Array<{ position: number, ids: readonly string[] }> = []
  const answers: Array<() => void> = []
  const question = createRecordQuestion({
    readAfter: (position, ids = []) => new Promise(resolve => {
      queries.push({ position, ids })
      answers.push(() => { resolve(head) })
    })
  })
  return { ...question, queries, answers }
}

t.test('look-ups that wait for a query share the next one, from the lowest of their markers (P2)', async t => {
  const { ask, queries, answers } = asking()
  const first = ask(8, ['jti:a'])
  await turn()
  const others = [ask(7, ['jti:b']), ask(5, ['sid:c']), ask(6, ['jti:b', 'sid:d'])]
  await turn()
  t.same(queries, [{ position: 8, ids: ['a'] }], 'the one that is under way may have read the record before')
  answers[0]?.()
  await first
  await turn()
  t.same(queries.slice(1), [{ position: 5, ids: ['b', 'c', 'd'] }])
  answers[1]?.()
  await Promise.all(others)
})

t.test('a question is refused while 20,000 entries wait for a query, and answered after that', async t => {
  const { ask, answers } = asking()
  const first = ask(8, ['jti:a'])
  await turn()
  const waiting = ask(8, Array.from({ length: 20_000 }, (_, index) => `jti:${index}`))
  const refused = ask(8, ['jti:b']).then(() => 'answered', ({ message }) => message)
  answers[0]?.()
  await first
  await turn()
  answers[1]?.()
  await waiting
  t.equal(await refused, 'More than 20000 entries wait for the record.')
  const later = ask(8, ['jti:b'])
  await turn()
  answers[2]?.()
  t.equal((await later).head.position, 9)
})
