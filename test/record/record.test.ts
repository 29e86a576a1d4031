import { randomUUID } from 'node:crypto'
import { decodeJwt } from 'jose'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { build, onEachStorage, serversEnv } from '../support/app.ts'
import { breakBlocklist } from '../support/blocklist.ts'
import { query } from '../support/database.ts'
import { password, signUpAdmin, signUpWithSessions, type Pair } from '../support/people.ts'
import { fillRecord } from '../support/record.ts'
import { logOut, refresh, send } from '../support/requests.ts'
import { claimsOf, sessionIdOf } from '../support/sessions.ts'

interface Scene {
  app: FastifyInstance
  id: string
  username: string
  admin: string
  first: Pair
  second: Pair
}

interface Recorded { scope: string, id: string, subject: string | null, reason: string, seconds: number }

const isFirst = 1
const isSecond = 2

/** Every way to revoke: its act, the reason that is recorded, and the sessions that it ends. */
const endings: Record<
  string,
  { end: (scene: Scene) => Promise<unknown>; reason: string; sessions: number[]; tokenOf?: 1 }
> = {
  logout: {
    end: ({ app, first }) => logOut(app, first.access_token),
    reason: 'logout',
    sessions: [isFirst],
    tokenOf: isFirst
  },
  'logout of the others': {
    end: ({ app, first }) => send(app, 'POST /logout?scope=others', { token: first.access_token }),
    reason: 'logout',
    sessions: [isSecond]
  },
  'logout of all': {
    end: ({ app, first }) => send(app, 'POST /logout?scope=all', { token: first.access_token }),
    reason: 'logout',
    sessions: [isFirst, isSecond],
    tokenOf: isFirst
  },
  'logout with the refresh token': {
    end: ({ app, first }) => send(app, 'POST /logout', { body: { refresh_token: first.refresh_token } }),
    reason: 'logout',
    sessions: [isFirst]
  },
  'ending one of the list': {
    end: ({ app, first, second }) =>
      send(app, `DELETE /me/sessions/${sessionIdOf(second)}`, { token: first.access_token }),
    reason: 'ended_by_owner',
    sessions: [isSecond]
  },
  'another password': {
    end: ({ app, first }) =>
      send(app, 'PUT /me/password', {
        token: first.access_token, body: { current_password: password, new_password: 'an entirely different one' }
      }),
    reason: 'password_changed',
    sessions: [isFirst, isSecond]
  },
  'deletion by the owner': {
    end: ({ app, first }) => send(app, 'DELETE /me', { token: first.access_token, body: { password } }),
    reason: 'account_deleted',
    sessions: [isFirst, isSecond]
  },
  'reuse of a refresh token': {
    async end ({ app, first }) {
      const { refresh_token: successor } = (await refresh(app, first.refresh_token)).json() as Pair
      await refresh(app, successor)
      return await refresh(app, first.refresh_token)
    },
    reason: 'refresh_token_reused',
    sessions: [isFirst]
  },
  'a session too many': {
    end: ({ app, username }) => send(app, 'POST /login', { body: { username, password } }),
    reason: 'too_many_sessions',
    sessions: [isFirst]
  },
  'sessions ended by an administrator': {
    end: ({ app, id, admin }) => send(app, `DELETE /users/${id}/sessions`, { token: admin }),
    reason: 'ended_by_admin',
    sessions: [isFirst, isSecond]
  },
  'another role': {
    end: ({ app, id, admin }) => send(app, `PUT /users/${id}/role`, { token: admin, body: { role: 'admin' } }),
    reason: 'role_changed',
    sessions: [isFirst, isSecond]
  },
  disabling: {
    end: ({ app, id, admin }) => send(app, `PUT /users/${id}/status`, { token: admin, body: { status: 'disabled' } }),
    reason: 'account_disabled',
    sessions: [isFirst, isSecond]
  },
  'deletion by an administrator': {
    end: ({ app, id, admin }) => send(app, `DELETE /users/${id}`, { token: admin }),
    reason: 'account_deleted',
    sessions: [isFirst, isSecond]
  },
  'revocation of a session': {
    end: ({ app, admin, first }) => send(app, 'POST /revocations', { token: admin, body: { sid: sessionIdOf(first) } }),
    reason: 'ended_by_admin',
    sessions: [isFirst]
  },
  'revocation of all of a user': {
    end: ({ app, admin, id }) => send(app, 'POST /revocations', { token: admin, body: { subject: id } }),
    reason: 'ended_by_admin',
    sessions: [isFirst, isSecond]
  },
  'revocation of a token': {
    end: ({ app, admin, first }) =>
      send(app, 'POST /revocations', { token: admin, body: { token: first.access_token } }),
    reason: 'token_revoked',
    sessions: [],
    tokenOf: isFirst
  },
  'revocation of a jti': {
    end: ({ app, admin, first }) =>
      send(app, 'POST /revocations', { token: admin, body: { jti: claimsOf(first).jti } }),
    reason: 'token_revoked',
    sessions: [],
    tokenOf: isFirst
  }
}

const settings = {
  MAX_SESSIONS: '2', REFRESH_GRACE: '0', REFRESH_REPEAT_MAX: '0', RATE_LIMITS: 'off'
}
const everything =
  'select scope, id, subject, reason, extract(epoch from expires_at)::float8 as seconds from revocations order by position'

t.test('every way to end a session or to revoke a token is recorded with its expiry (P2)', t => onEachStorage(t, async (t, app) => {
  const { token: admin } = await signUpAdmin(app)
  for (const [name, { end, reason, sessions, tokenOf }] of Object.entries(endings)) {
    await query(app, 'delete from revocations')
    const { id, username, sessions: pairs } = await signUpWithSessions(app, 2)
    const [first, second] = pairs as [Pair, Pair]
    // The first one was idle for longer.
    await query(
      app,
      `update sessions set last_used_at = last_used_at - interval '1 minute' where id = '${sessionIdOf(first)}'`
    )
    await end({ app, id, username, admin, first, second })
    const recorded = await query<Recorded>(app, everything)
    const { jti } = decodeJwt(first.access_token)
    const expected = [
      ...sessions.map(number => `session ${sessionIdOf(number === isFirst ? first : second)}`),
      ...(tokenOf === undefined ? [] : [`token ${String(jti)}`])
    ]
    t.same(recorded.map(({ scope, id }) => `${scope} ${id}`).sort(), expected.sort(), name)
    t.ok(recorded.every(row => row.reason === reason), name)
    t.ok(recorded.every(row => row.subject === id || name === 'revocation of a jti'), `${name}: whose it was`)
    for (const { scope, id: sid, seconds } of recorded) {
      const [row] =
        scope === 'session'
          ? await query<{ at: number }>(
            app,
              `select extract(epoch from access_expires_at)::float8 as at from sessions where id = '${sid}'`
          )
          : []
      t.ok(
        seconds >= (row?.at ?? decodeJwt(first.access_token).exp ?? Infinity),
        `${name}: for as long as its tokens live`
      )
    }
  }
}, settings))

t.test('a revocation is recorded before the blocklist is written, and stays recorded if that fails', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const { token: admin } = await signUpAdmin(app)
  for (const [name, { end, sessions, tokenOf }] of Object.entries(endings)) {
    await query(app, 'delete from revocations')
    const { id, username, sessions: [first, second] } = await signUpWithSessions(app, 2)
    if (first === undefined || second === undefined) throw new Error('There are no sessions.')
    await setBack(app, first)
    const mend = breakBlocklist(app)
    await end({ app, id, username, admin, first, second })
    t.equal((await query(app, everything)).length, sessions.length + (tokenOf ?? 0), name)
    mend()
  }
})

t.test('a failed act leaves no row in the record, and no session that ended without a row', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const { token: admin } = await signUpAdmin(app)
  // The last write fails: the insert into the record.
  await query(app, "create function refuse() returns trigger language plpgsql as 'begin raise exception ''No.''; end'")
  await query(app, 'create trigger refuse before insert on revocations for each row execute function refuse()')
  for (const [name, { end, sessions }] of Object.entries(endings)) {
    const { id, username, sessions: [first, second] } = await signUpWithSessions(app, 2)
    if (first === undefined || second === undefined) throw new Error('There are no sessions.')
    await setBack(app, first)
    await end({ app, id, username, admin, first, second })
    t.equal((await query(app, 'select 1 from revocations')).length, 0, name)
    t.equal(
      (await query(app, `select 1 from sessions where user_id = '${id}' and ended_at is not null`)).length,
      0,
      `${name}: ${sessions.length} would have ended`
    )
  }
  await query(app, 'drop trigger refuse on revocations')
  const unknown = [
    await send(app, 'POST /revocations', { token: admin, body: { sid: randomUUID() } }),
    await send(app, 'PUT /me/password', {
      token: admin, body: { current_password: 'not the right one', new_password: 'an entirely different one' }
    })
  ]
  t.same(unknown.map(({ statusCode }) => statusCode), [404, 403])
  t.equal((await query(app, 'select 1 from revocations')).length, 0)
})

t.test('rows are deleted in batches once no token of theirs is valid, and the head does not go back', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  await fillRecord(env, 1_100, '-16 seconds')
  await fillRecord(env, 3, '-10 seconds')
  const before = await app.revocationRecord.readHead()
  t.equal(before.position, 1_103)
  await query(
    app,
    "create table batches (n int); create function note_batch() returns trigger language plpgsql as 'begin insert into batches select count(*) from gone; return null; end'"
  )
  await query(
    app,
    'create trigger note after delete on revocations referencing old table as gone for each statement execute function note_batch()'
  )
  await app.janitor.tidyUp()
  t.same((await query<{ n: number }>(app, 'select n from batches')).map(({ n }) => n), [500, 500, 100])
  t.equal((await query(app, 'select 1 from revocations')).length, 3, 'three leeways later')
  await query(app, "update revocations set expires_at = expires_at - interval '1 minute'")
  await app.janitor.tidyUp()
  t.equal((await query(app, 'select 1 from revocations')).length, 0)
  t.equal((await app.revocationRecord.readHead()).position, 1_103)
  await fillRecord(env, 1)
  t.equal((await app.revocationRecord.readHead()).position, 1_104)
})

/** Moves the last use of a session back by a minute. */
async function setBack (app: FastifyInstance, token: Parameters<typeof sessionIdOf>[0]): Promise<void> {
  const earlier = "last_used_at = last_used_at - interval '1 minute'"
  await query(app, `update sessions set ${earlier} where id = '${sessionIdOf(token)}'`)
}
