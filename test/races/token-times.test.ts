import t from 'tap'
import { signIn, type Pair } from '../support/people.ts'
import { logOut, refresh } from '../support/requests.ts'
import { sessionIdOf, signInAndRefresh } from '../support/sessions.ts'
import { findLife, setStage, type SessionRow } from './stage.ts'

/** Less than the leeway, because the clock of the database does not move. */
const passesMs = 3_000

t.test('the times in a token are fixed while its session is locked, and do not depend on later delays', async t => {
  let aheadMs = 0
  const { now } = Date
  // Set before the replicas are built, because they keep the function that is the clock then.
  Date.now = () => now() + aheadMs
  t.teardown(() => { Date.now = now })
  const stage = await setStage(t)
  const works = {
    login: (username: string) => signIn(stage.one, username),
    refresh: async (_: string, token: string) => (await refresh(stage.one, token)).json() as Pair
  }
  for (const [name, work] of Object.entries(works)) {
    for (let holdBefore = 0, isDone = false; !isDone; holdBefore++) {
      const user = await stage.addUser()
      const [before] = await signInAndRefresh(stage.one, user.username, 0)
      const flow = stage.stepper.start(name, () => work(user.username, String(before?.refresh_token)), holdBefore)
      isDone = !await flow.held
      aheadMs = passesMs
      flow.release()
      const pair = await flow.answer
      aheadMs = 0
      const place = `${name} held before step ${holdBefore}, ${flow.steps[holdBefore] ?? 'none'}`
      await logOut(stage.two, pair.access_token)
      const row = (await stage.findSessions(user.id)).find(({ id }) => id === sessionIdOf(pair))
      t.same(await findLife(stage, row as SessionRow, [pair]), [], `${place}: its end lasts as long as the token`)
    }
  }
})
