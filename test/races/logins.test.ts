import t from 'tap'
import { password, signIn, type Pair } from '../support/people.ts'
import { outcome, refresh, send } from '../support/requests.ts'
import { claimsOf, sessionIdOf, signInAndRefresh } from '../support/sessions.ts'
import { nowSeconds } from '../support/tokens.ts'
import { endings, newPassword } from './race-acts.ts'
import { firstToCommit, setScene } from './races.ts'
import { findDeath, findLife, setStage, type SessionRow, type Stage } from './stage.ts'

const maxSessions = 3

/**
 * Returns the faults in the sessions of a user, from which these pairs were issued. Exactly `MAX_SESSIONS` of them must
 * live.
 */
async function findExcess (stage: Stage, userId: string, pairs: Pair[]): Promise<string[]> {
  const rows = await stage.findSessions(userId)
  const live = rows.filter(row => row.ended_at === null)
  const problems = live.length === maxSessions ? [] : [`${live.length} live sessions`]
  for (const row of rows) {
    const own = pairs.filter(pair => sessionIdOf(pair) === row.id)
    problems.push(...row.ended_at === null ? await findDeath(stage, row, own) : await findLife(stage, row, own))
  }
  return problems
}

t.test('twenty logins at once on two replicas leave MAX_SESSIONS live sessions', async t => {
  const stage = await setStage(t, { MAX_SESSIONS: String(maxSessions) })
  const user = await stage.addUser()
  const pairs = await Promise.all(
    Array.from({ length: 20 }, (_, n) => signIn(n % 2 === 0 ? stage.one : stage.two, user.username))
  )
  t.equal(pairs.filter(pair => pair.access_token).length, 20, 'all were answered')
  t.same(await findExcess(stage, user.id, pairs), [])
})

t.test('two logins at once beyond MAX_SESSIONS end the two sessions idle longest, at every step', async t => {
  const stage = await setStage(t, { MAX_SESSIONS: String(maxSessions) })
  let holdBefore = 0
  for (let isDone = false; !isDone; holdBefore++) {
    const user = await stage.addUser()
    const before: Pair[] = []
    for (let n = 0; n < maxSessions; n++) before.push(await signIn(stage.one, user.username))
    const first = stage.stepper.start('first', () => signIn(stage.one, user.username), holdBefore)
    isDone = !await first.held
    const second = stage.stepper.start('second', () => signIn(stage.two, user.username))
    await second.settles()
    first.release()
    const place = `held before step ${holdBefore}, ${first.steps[holdBefore] ?? 'none'}`
    const newest = [await first.answer, await second.answer]
    t.same(await findExcess(stage, user.id, [...before, ...newest]), [], place)
    const live = (await stage.findSessions(user.id)).filter(row => row.ended_at === null).map(row => row.id)
    const expected = [...before.slice(2), ...newest].map(sessionIdOf)
    t.same(live.sort(), expected.sort(), `${place}: the third and the new ones live`)
  }
  // Every login has a beginning, a statement and a commit. Held before none of them, it would have raced nothing.
  t.ok(holdBefore > 3, `${holdBefore} interleavings`)
})

t.test('a refresh saves its session from a login beyond MAX_SESSIONS if it commits first, and only then', async t => {
  const stage = await setStage(t, { MAX_SESSIONS: '2' })
  const places: { saved: string[], late: string[] } = { saved: [], late: [] }
  for (let holdBefore = 0, isDone = false; !isDone; holdBefore++) {
    const user = await stage.addUser()
    const oldest = await signInAndRefresh(stage.one, user.username, 0)
    const other = await signIn(stage.one, user.username)
    stage.stepper.takeMoments()
    const first = stage.stepper.start('refresh', () => refresh(stage.one, String(oldest[0]?.refresh_token)), holdBefore)
    isDone = !await first.held
    const second = stage.stepper.start('login', () => signIn(stage.two, user.username))
    await second.settles()
    first.release()
    const answer = await first.answer
    await second.answer
    const place = `held before step ${holdBefore}, ${first.steps[holdBefore] ?? 'none'}`
    const rows = new Map((await stage.findSessions(user.id)).map(row => [row.id, row]))
    const rowOf = (pair: Pair) => rows.get(sessionIdOf(pair)) as SessionRow
    const refreshed = [...oldest, ...answer.statusCode === 200 ? [answer.json() as Pair] : []]
    if (firstToCommit(stage) === 'refresh' && answer.statusCode === 200) {
      places.saved.push(place)
      t.same(
        await findDeath(stage, rowOf(refreshed[0] as Pair), refreshed),
        [],
        `${place}: it was refreshed in time and lives`
      )
      t.same(await findLife(stage, rowOf(other), [other]), [], `${place}: the other one has ended`)
    } else {
      places.late.push(place)
      t.equal(outcome(answer), '401 token_revoked', `${place}: it came too late`)
      t.same(await findLife(stage, rowOf(refreshed[0] as Pair), refreshed), [], `${place}: and has ended`)
      t.same(await findDeath(stage, rowOf(other), [other]), [], `${place}: the other one lives`)
    }
  }
  t.ok(places.saved.length > 1, `first to commit: ${places.saved.join('; ')}`)
  t.ok(places.late.length > 0, `too late: ${places.late.join('; ')}`)
})

t.test('a login right after an ending, within the same second too, opens a session that works', async t => {
  const stage = await setStage(t)
  const { one, two } = stage
  const { access_token: admin } = await signIn(one, (await stage.addUser('admin')).username)
  let inOneSecond = 0
  for (const ending of endings) {
    const scene = await setScene(stage, admin, ending)
    const { id, username } = scene.user
    const answer = await ending.run(scene, one)
    const endedAt = nowSeconds()
    if (ending.name.endsWith('status')) {
      await send(two, `PUT /users/${id}/status`, { token: admin, body: { status: 'active' } })
    }
    if (ending.name.startsWith('DELETE') && ending.voidsLogins) {
      await send(two, 'POST /register', { body: { username, password } })
    }
    const pair = (
      await send(two, 'POST /login', {
        body: { username, password: ending.name.endsWith('password') ? newPassword : password }
      })
    ).json() as Pair
    t.ok(ending.done.includes(outcome(answer)), `${ending.name}: it is done`)
    const { sub, sid, iat } = claimsOf(pair)
    if (iat === endedAt) inOneSecond++
    const row = (await stage.findSessions(sub)).find(row => row.id === sid)
    t.same(await findDeath(stage, row as SessionRow, [pair]), [], `${ending.name}: and the new session works`)
  }
  t.ok(inOneSecond > 0, `${inOneSecond} of ${endings.length} logins in the second of the ending`)
})
