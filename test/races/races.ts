import type { LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { inForm, isLong } from '../support/form.ts'
import { signIn, type Pair } from '../support/people.ts'
import { outcome } from '../support/requests.ts'
import { claimsOf, sessionIdOf, signInAndRefresh } from '../support/sessions.ts'
import { contenders, endings, newest, type RaceAct, type RaceScene, type Which } from './race-acts.ts'
import { askBoth, findDeath, findLife, setStage, type Stage } from './stage.ts'

export async function setScene (stage: Stage, admin: string, ...acts: RaceAct[]): Promise<RaceScene> {
  const { one, two } = stage
  const user = await stage.addUser()
  const [it, other] = await Promise.all([
    signInAndRefresh(one, user.username, Math.max(...acts.map(act => act.rotations ?? 0))),
    acts.some(act => act.needsOther) ? signInAndRefresh(two, user.username, 0) : []
  ])
  if (acts.some(act => act.isGraceOver)) await stage.endGrace(user.id)
  return { user, it, other, admin }
}

/** An act and the answer that it got. */
interface Outcome {
  act: RaceAct
  answer: LightMyRequestResponse
}

const isDone = ({ act, answer }: Outcome) => act.done.includes(outcome(answer))

/**
 * Each of two acts is held in turn: in the long form before each of its steps, in the short form before every sixth.
 */
const stride = inForm({ short: 6, long: 1 })
export const steps = isLong ? 'every step of both' : 'every sixth step of both'

/** Sets a stage for all tests of a file. Returns a function that races an act against every ending. */
export async function setRaces (t: Test): Promise<(t: Test, act: RaceAct) => Promise<void>> {
  const stage = await setStage(t)
  const { access_token: admin } = await signIn(stage.one, (await stage.addUser('admin')).username)
  return (t, act) => testRaces(t, stage, admin, act)
}

async function testRaces (t: Test, stage: Stage, admin: string, act: RaceAct): Promise<void> {
  for (const [index, ending] of endings.entries()) {
    const races = [await race(stage, admin, act, ending, index % stride)]
    // Of two of the same act, it makes no difference which one is held.
    if (act !== ending) races.push(await race(stage, admin, ending, act, (index + 1) % stride))
    const counts = races.map(({ count }) => count)
    const total = counts.reduce((sum, count) => sum + count)
    t.same(races.flatMap(({ problems }) => problems), [], `${act.name} × ${ending.name}, ${total} times`)
    // Every act has a beginning, a statement and a commit. Held before none of them, it would have raced nothing.
    t.ok(Math.min(...counts) > (isLong ? 3 : 1), `${counts.join(' and ')} interleavings`)
  }
}

/**
 * Holds one act, on one replica, before its steps in turn: see {@link stride}. Meanwhile another act runs on the other
 * replica, until it is answered or blocked. Then the first act goes on. Returns the number of interleavings, and the
 * problems.
 */
async function race (
  stage: Stage, admin: string, held: RaceAct, free: RaceAct, firstStep: number
): Promise<{ count: number, problems: string[] }> {
  const problems: string[] = []
  let count = 0
  for (let holdBefore = firstStep; ; holdBefore += stride) {
    count++
    const scene = await setScene(stage, admin, held, free)
    stage.stepper.takeMoments()
    const first = stage.stepper.start('first', () => held.run(scene, stage.one), holdBefore)
    const wasHeld = await first.held
    const second = stage.stepper.start('second', () => free.run(scene, stage.two))
    const place =
      `${held.name} held before step ${holdBefore} (${first.steps[holdBefore] ?? 'none: it is over'}), ${free.name}`
    const report = (found: string[]) => { problems.push(...found.map(problem => `${place}: ${problem}`)) }

    if (await second.settles()) {
      const outcome = { act: free, answer: await second.answer }
      if (wasHeld && isDone(outcome) && free.ends?.includes('it')) report(await findEarlyLife(stage, scene))
    }
    first.release()
    const outcomes = [{ act: held, answer: await first.answer }, { act: free, answer: await second.answer }]
    const committedFirst = outcomes[['first', 'second'].indexOf(firstToCommit(stage) ?? '')]?.act
    report(await findFaults(stage, scene, outcomes, committedFirst))
    if (!wasHeld) return { count, problems }
  }
}

/** Returns the flow that was committed first, if both were. */
export function firstToCommit ({ stepper }: Stage): string | undefined {
  const commits = stepper.takeMoments().filter(({ step }) => step === 'commit').map(({ flow }) => flow)
  return new Set(commits).size > 1 ? commits[0] : undefined
}

/**
 * Finds a token that is accepted after the end of its session was answered. The answer is a promise at once, even while
 * other acts are under way.
 */
async function findEarlyLife (stage: Stage, scene: RaceScene): Promise<string[]> {
  const asked = await askBoth(stage, newest(scene).access_token)
  return asked === '401 token_revoked' ? [] : [`once its end was answered, the access token got ${asked}`]
}

/** @param committedFirst the first of two acts that were both committed */
async function findFaults (
  stage: Stage, scene: RaceScene, outcomes: Outcome[], committedFirst: RaceAct | undefined
): Promise<string[]> {
  const faults = outcomes
    .filter(({ act, answer }) => ![...act.done, ...act.refused ?? []].includes(outcome(answer)))
    .map(({ act, answer }) => `${act.name} got ${outcome(answer)}`)
  const done = outcomes.filter(isDone).map(({ act }) => act)
  const late = done.length > 1 && committedFirst !== undefined ? done.find(act => act !== committedFirst) : undefined
  const isRepetition = late?.changesPassword === true && committedFirst?.changesPassword === true
  if (late?.inNameOf !== undefined && committedFirst?.ends?.includes(late.inNameOf) && !isRepetition) {
    faults.push(`${late.name} was done in the name of a session that had ended`)
  }

  const handedOut = outcomes
    .filter(({ answer }) => answer.statusCode === 200 && 'refresh_token' in answer.json())
    .map(({ act, answer }) => ({ act, pair: answer.json() as Pair }))
  const endsNew = (act: RaceAct, opener: RaceAct | undefined) =>
    act !== opener && !(act.changesPassword && opener?.changesPassword) &&
      (committedFirst === opener || (act.voidsLogins === true && opener === contenders.login))
  // A refresh after the grace is reuse if the newest pair was used meanwhile, and then it ends the session.
  const wasReused = outcomes.some(({ answer }) => outcome(answer) === '401 refresh_token_reused')
  const hasEnded = (which: Which, opener: RaceAct | undefined) =>
    (which === 'it' && wasReused) ||
      done.some(act => act.ends?.includes(which) && (which !== 'new' || endsNew(act, opener)))
  for (const row of await stage.findSessions(scene.user.id)) {
    const which = [scene.it, scene.other].findIndex(([pair]) => pair !== undefined && sessionIdOf(pair) === row.id)
    const name = (['it', 'other'] as const)[which] ?? 'new'
    const isOfRow = (pair: Pair) => sessionIdOf(pair) === row.id
    const own = [...scene.it, ...scene.other, ...handedOut.map(({ pair }) => pair)].filter(isOfRow)
    const opener = handedOut.find(({ pair }) => isOfRow(pair))?.act
    // A refresh after the grace supersedes the newest pair, which is refused from then on.
    const good = done.some(act => act.isGraceOver) ? own.filter(pair => pair !== newest(scene)) : own
    const found = hasEnded(name, opener) ? await findLife(stage, row, own) : await findDeath(stage, row, good)
    faults.push(...found.map(fault => `the session "${name}": ${fault}`))
    if (row.ended_at === null) faults.push(...await findStaleScope(stage, scene, own))
  }
  return faults
}

/** Finds tokens of a live session that say something of the user that is not true any more. */
async function findStaleScope (stage: Stage, { user }: RaceScene, pairs: Pair[]): Promise<string[]> {
  const [now] = await stage.ask('select role, status from users where id = $1', [user.id])
  return pairs
    .filter(pair => now?.['status'] !== 'active' || claimsOf(pair).scope !== now['role'])
    .map(pair => `a live token says ${claimsOf(pair).scope}, of a user that is ${JSON.stringify(now)}`)
}
