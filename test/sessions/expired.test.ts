import t from 'tap'
import { onEachStorage } from '../support/app.ts'
import { recordTrips } from '../support/blocklist.ts'
import { query, sessionRow } from '../support/database.ts'
import { signUpAdmin, signUpWithSessions, type Pair } from '../support/people.ts'
import { send } from '../support/requests.ts'
import { sessionIdOf } from '../support/sessions.ts'

t.test('a session that has expired does not end again', t => onEachStorage(t, async (t, app) => {
  const { token: admin } = await signUpAdmin(app)
  const { id, sessions } = await signUpWithSessions(app, 4)
  const [mine, longGone, justGone, idle] = sessions as [Pair, Pair, Pair, Pair]
  /** Lets a session and its last access token expire, so many seconds ago. The leeway is five seconds. */
  const expire = (pair: Pair, sessionAgo: number, accessAgo: number) =>
    query(
      app,
      `update sessions set expires_at = clock_timestamp() - interval '${sessionAgo} seconds', access_expires_at = clock_timestamp() - interval '${accessAgo} seconds' where id = '${sessionIdOf(pair)}'`
    )
  await expire(longGone, 60, 20)
  await expire(justGone, 60, 5)
  await expire(idle, -60, 20)
  const ending = [mine, justGone, idle].map(sessionIdOf).sort()

  const preview = (payload: object) => send(app, 'POST /revocations?dry_run=true', { token: admin, body: payload })
  t.same((await preview({ subject: id })).json().sessions.sort(), ending, 'nor does a dry run list it')
  t.same((await preview({ sid: sessionIdOf(longGone) })).json().sessions, [])

  const trips = await recordTrips(app, async () => {
    await send(app, 'POST /logout?scope=all', { token: mine.access_token })
  })
  t.same(
    trips
      .flat()
      .filter(({ scope }) => scope === 'session')
      .map(({ id }) => id)
      .sort(),
    ending,
    'but one that lives, or has a token that a replica could still accept'
  )
  t.match(await sessionRow(app, sessionIdOf(longGone)), { ended_at: null, end_reason: null })
  t.same(
    await query(app, `select details from security_events where type = 'logout' and user_id = '${id}'`),
    [{ details: { scope: 'all', sessions: 3 } }],
    'nor is it counted'
  )
}))
