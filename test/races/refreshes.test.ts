import t, { type Test } from 'tap'
import type { Pair } from '../support/people.ts'
import { outcome, refresh } from '../support/requests.ts'
import { signInAndRefresh } from '../support/sessions.ts'
import { firstToCommit } from './races.ts'
import { askBoth, findDeath, findLife, setStage, type SessionRow, type Stage } from './stage.ts'

/**
 * Refreshes one session twice, on two replicas. The first refresh is held before a step until the second one settles.
 */
async function refreshTwice (
  stage: Stage, rotations: number, choose: (pairs: Pair[]) => [Pair, Pair], holdBefore: number, isGraceOver = false
) {
  const { one, two, stepper } = stage
  const user = await stage.addUser()
  const pairs = await signInAndRefresh(one, user.username, rotations)
  if (isGraceOver) await stage.endGrace(user.id)
  const [held, free] = choose(pairs)
  stepper.takeMoments()
  const first = stepper.start('first', () => refresh(one, held.refresh_token), holdBefore)
  const isOver = !await first.held
  const second = stepper.start('second', () => refresh(two, free.refresh_token))
  await second.settles()
  first.release()
  const answers = [await first.answer, await second.answer] as const
  const [row] = await stage.findSessions(user.id)
  return {
    pairs,
    answers,
    row: row as SessionRow,
    isOver,
    committedFirst: firstToCommit(stage),
    place: `held before step ${holdBefore}, ${first.steps[holdBefore] ?? 'none'}`
  }
}

t.test('two refreshes of one token on two replicas get one successor, at every step', async t => {
  const stage = await setStage(t)
  for (let holdBefore = 0, isDone = false; !isDone; holdBefore++) {
    const { pairs, answers, row, isOver, place } = await refreshTwice(
      stage, 1, ([, live]) => [live as Pair, live as Pair], holdBefore
    )
    t.same(answers.map(outcome), ['200', '200'], place)
    const [mine, yours] = answers.map(answer => answer.json() as Pair)
    t.equal(mine?.refresh_token, yours?.refresh_token, `${place}: it is the same`)
    t.same(await findDeath(stage, row, [...pairs, mine as Pair, yours as Pair]), [], `${place}: and the session lives`)
    isDone = isOver
  }
})

t.test('twenty refreshes of one token at once get one successor', async t => {
  const stage = await setStage(t)
  const user = await stage.addUser()
  const [pair] = await signInAndRefresh(stage.one, user.username, 0)
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) => refresh(n % 2 === 0 ? stage.one : stage.two, String(pair?.refresh_token)))
  )
  t.same([...new Set(answers.map(outcome))], ['200'])
  t.equal(new Set(answers.map(answer => answer.json().refresh_token)).size, 1)
  const [row] = await stage.findSessions(user.id)
  t.same(await findDeath(stage, row as SessionRow, answers.map(answer => answer.json())), [])
})

/**
 * Races the live token against its predecessor, at every step. If the predecessor comes first, it is in grace and gets
 * the live token, which is spent after that. Otherwise it is reuse, and every issued token is refused.
 */
async function testPredecessor (t: Test, predecessorIsHeld: boolean): Promise<void> {
  const stage = await setStage(t)
  for (let holdBefore = 0, isDone = false; !isDone; holdBefore++) {
    const choose = ([before, live]: Pair[]) => (predecessorIsHeld ? [before, live] : [live, before]) as [Pair, Pair]
    const { pairs, answers, row, isOver, place, committedFirst } = await refreshTwice(stage, 1, choose, holdBefore)
    const [honest, late] = predecessorIsHeld ? [answers[1], answers[0]] : answers
    const successor = honest.json() as Pair
    if (committedFirst === (predecessorIsHeld ? 'first' : 'second')) {
      t.same(answers.map(outcome), ['200', '200'], `${place}: the predecessor is in grace`)
      t.equal(late.json().refresh_token, pairs[1]?.refresh_token, `${place}: it gets what was live then`)
      t.same(await findDeath(stage, row, [...pairs, late.json(), successor]), [], `${place}: and the session lives`)
    } else {
      t.same(
        [outcome(honest), outcome(late)],
        ['200', '401 refresh_token_reused'],
        `${place}: the predecessor is too old`
      )
      t.same(await findLife(stage, row, [...pairs, successor]), [], `${place}: and the session has ended`)
    }
    isDone = isOver
  }
}

t.test('a token is in grace only while its successor is live, when the use of the successor is held', async t => {
  await testPredecessor(t, false)
})

t.test('a token is in grace only while its successor is live, when the use of the token is held', async t => {
  await testPredecessor(t, true)
})

for (const predecessorIsHeld of [false, true]) {
  const held = predecessorIsHeld ? 'token' : 'successor'
  t.test(`after the grace, of a token and its successor one at most goes on, when the ${held} is held`, async t => {
    const stage = await setStage(t)
    const choose = ([before, live]: Pair[]) => (predecessorIsHeld ? [before, live] : [live, before]) as [Pair, Pair]
    for (let holdBefore = 0, isDone = false; !isDone; holdBefore++) {
      const { pairs, answers, row, isOver, place } = await refreshTwice(stage, 1, choose, holdBefore, true)
      // The second of them is a theft: the pair of the first one is refused as well.
      t.same(answers.map(outcome).sort(), ['200', '401 refresh_token_reused'], place)
      const issued = answers.filter(answer => answer.statusCode === 200).map(answer => answer.json() as Pair)
      t.same(await findLife(stage, row, [...pairs, ...issued]), [], `${place}: and the session has ended`)
      isDone = isOver
    }
  })
}

t.test('after the grace, a token that comes twice gets one pair, and its first successor is superseded', async t => {
  const stage = await setStage(t)
  const choose = ([before]: Pair[]) => [before, before] as [Pair, Pair]
  for (let holdBefore = 0, isDone = false; !isDone; holdBefore++) {
    const { pairs, answers, row, isOver, place } = await refreshTwice(stage, 1, choose, holdBefore, true)
    t.same(answers.map(outcome), ['200', '200'], place)
    const [mine, yours] = answers.map(answer => answer.json() as Pair)
    t.equal(mine?.refresh_token, yours?.refresh_token, `${place}: it is the same`)
    const lost = pairs[1] as Pair
    t.not(mine?.refresh_token, lost.refresh_token, `${place}: and another one than before`)
    t.equal(await askBoth(stage, lost.access_token), '401 token_revoked', place)
    t.same(await findDeath(stage, row, [pairs[0], mine, yours] as Pair[]), [], `${place}: and the session lives`)
    isDone = isOver
  }
})
