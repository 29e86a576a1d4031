import { decodeJwt } from 'jose'
import t from 'tap'
import type { Drizzle } from '../../src/db/database.ts'
import { createRevocationRecord } from '../../src/record/record.ts'
import { findSession, listSessions, lockSession, sessionOf } from '../../src/sessions/session-repository.ts'
import {
  createUserRepository, deleteUser, lockUser, lockUserAndAdmins, updateUser
} from '../../src/users/user-repository.ts'
import { onEachStorage } from '../support/app.ts'
import { signUp, signUpAdmin, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, get, refresh, send } from '../support/requests.ts'
import { isAccepted, sessionIdOf } from '../support/sessions.ts'
import { sqlDatabaseOf } from '../../src/db/statements.ts'

interface Listed {
  users: Array<{ id: string }>
  next_cursor: string | null
}

t.test('administrators see users and their sessions', t => onEachStorage(t, async (t, app) => {
  const { id: adminId, username: adminName, token: admin } = await signUpAdmin(app)
  const list = async (query: string): Promise<Listed> => (await get(app, `/users${query}`, admin)).json()

  await t.test('administration routes are 403 for an ordinary user, and 401 without a token', async t => {
    const { id, pair } = await signUp(app)
    const { access_token: token } = pair
    t.equal(decodeJwt(token)['scope'], 'user')
    t.equal(decodeJwt(admin)['scope'], 'admin')
    const routes = {
      'GET /users': undefined,
      [`GET /users/${id}`]: undefined,
      [`GET /users/${id}/sessions`]: undefined,
      [`DELETE /users/${id}/sessions`]: undefined,
      [`PUT /users/${id}/role`]: { role: 'admin' },
      [`PUT /users/${id}/status`]: { status: 'disabled' },
      [`DELETE /users/${id}`]: undefined,
      'POST /revocations': { subject: id },
      'GET /keys': undefined,
      'POST /keys/rotate': undefined,
      'POST /keys/{kid}/retire': {}
    }
    const documented = Object.entries(
      app.swagger().paths as Record<string, Record<string, { tags?: string[] }>>
    ).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([, { tags }]) => tags?.includes('administration'))
        .map(([method]) => `${method.toUpperCase()} ${path.replace('{id}', id)}`)
    )
    t.same(Object.keys(routes).sort(), documented.sort(), 'this test knows every route of theirs')
    for (const [route, payload] of Object.entries(routes)) {
      const [method, url] = route.split(' ') as ['GET', string]
      const refused = await send(app, `${method} ${url}`, { token, body: payload })
      expectError(t, refused, 403, 'forbidden', route)
      t.match(
        refused.headers['www-authenticate'], /^Bearer realm="signout", error="insufficient_scope", .*scope="admin"$/
      )
      const anonymous = await send(app, `${method} ${url}`, { body: payload })
      expectError(t, anonymous, 401, 'authorization_required', route)
      t.equal(anonymous.headers['www-authenticate'], 'Bearer realm="signout"')
    }
    t.ok(await isAccepted(app, pair))
    t.equal((await refresh(app, pair.refresh_token)).statusCode, 200, 'and nothing has happened')
  })

  await t.test('GET /users/:id answers one user, and is 404 for an unknown id', async t => {
    const answer = await get(app, `/users/${adminId}`, admin)
    t.equal(answer.statusCode, 200)
    const { created_at: createdAt, ...rest } = answer.json()
    t.same(rest, { id: adminId, username: adminName, role: 'admin', status: 'active' }, 'and nothing else')
    t.equal(new Date(createdAt).toISOString(), createdAt)
    expectError(t, await get(app, `/users/${crypto.randomUUID()}`, admin), 404, 'not_found')
    for (const id of ['x', `urn:uuid:${adminId}`]) {
      expectError(t, await get(app, `/users/${id}`, admin), 400, 'invalid_request')
    }
  })

  await t.test('GET /users lists users in pages without gaps or repeats while users are added', async t => {
    for (let count = 0; count < 4; count++) await signUp(app)
    const before = (await list('?limit=100')).users
    const seen: Listed['users'] = []
    let added = 0
    let page = await list('?limit=2')
    for (;;) {
      t.ok(page.users.length <= 2 && page.users.length > 0)
      seen.push(...page.users)
      if (page.next_cursor === null) break
      if (added++ < 3) await signUp(app)
      page = await list(`?limit=2&cursor=${page.next_cursor}`)
    }
    t.same(seen.slice(0, before.length), before, 'in the order of their registration')
    t.equal(seen.length, before.length + 3)
    t.equal(new Set(seen.map(({ id }) => id)).size, seen.length)
    t.same(
      await list(`?limit=${seen.length}`), { users: seen, next_cursor: null }, 'a page that is just full is the last'
    )
    t.same((await list('')).users, seen)
  })

  await t.test('GET /users refuses an invalid limit, an invalid cursor and an unknown parameter', async t => {
    const noNumbers = [
      '-Infinity', 'Infinity', '-1e999', '1e999', 'NaN', '0x10', '1e1', '%2B5', '%205', '5%20', '', '5n', '1_0', '5.0',
      '%EF%BC%95', '0'.repeat(16), '5&limit=6', '5&limit='
    ].map(text => `limit=${text}`)
    for (const query of [
      ...noNumbers, 'limit=0', 'limit=101', 'limit=-1', 'limit=x', 'limit=1.5', 'cursor=', 'cursor=x',
      `cursor=${'A'.repeat(201)}`, `cursor=${Buffer.from('1 2').toString('base64url')}`, 'page=2'
    ]) {
      expectError(t, await get(app, `/users?${query}`, admin), 400, 'invalid_request', query)
    }
    const beyond = Buffer.from(`99999999999999 ${crypto.randomUUID()}`).toString('base64url')
    for (const spelling of [`${beyond}=`, `${beyond.slice(0, 8)}!${beyond.slice(8)}`]) {
      expectError(t, await get(app, `/users?cursor=${spelling}`, admin), 400, 'invalid_request', spelling)
    }
    t.same(await list(`?cursor=${beyond}`), { users: [], next_cursor: null })
  })

  await t.test('the repositories refuse a limit that would return the whole table', async t => {
    const readLive = createRevocationRecord(sqlDatabaseOf(app.database), 0).readLive
    const lists: Record<string, (limit: number) => Promise<unknown>> = {
      users: limit => createUserRepository(app.database).list({ limit }),
      sessions: limit => app.database.run(db => listSessions(db, adminId, 'live', limit)),
      events: limit => app.securityEvents.list(adminId, { limit }),
      revocations: limit => readLive({ after: 0, upTo: 1 }, limit)
    }
    for (const [name, list] of Object.entries(lists)) {
      for (const limit of [-Infinity, Infinity, NaN, -1, 0, 1.5, 10_001]) {
        await t.rejects(list(limit), { name: 'RangeError' }, `${name}: ${limit}`)
      }
      await t.resolves(list(1), name)
    }
  })

  await t.test('the repositories refuse an id that was not parsed', async t => {
    const { sub, sid } = decodeJwt(admin) as { sub: string, sid: string }
    const upper = sub.toUpperCase()
    const lookUps: Record<string, (db: Drizzle) => Promise<unknown>> = {
      findById: () => createUserRepository(app.database).findById(upper),
      lockUser: db => lockUser(db, upper, 'share'),
      lockUserAndAdmins: db => lockUserAndAdmins(db, upper),
      updateUser: db => updateUser(db, upper, { role: 'admin' }),
      deleteUser: db => deleteUser(db, upper),
      listSessions: db => listSessions(db, upper, 'live', 1),
      findSession: async db => await findSession(db, sessionOf(sub, sid.toUpperCase())),
      lockSession: db => lockSession(db, sid.toUpperCase()),
      listEvents: () => app.securityEvents.list(upper, { limit: 1 })
    }
    for (const [name, lookUp] of Object.entries(lookUps)) {
      await t.rejects(
        app.database.run(db => lookUp(db)), { name: 'TypeError', message: /UUID in lower case/ }, name
      )
    }
  })

  await t.test('GET /users/:id/sessions lists the sessions of a user, newest first', async t => {
    const { id, sessions } = await signUpWithSessions(app, 2)
    const [first, second] = sessions as [Pair, Pair]
    await signUp(app)
    const url = `/users/${id}/sessions`
    const listed = (await get(app, url, admin)).json().sessions
    t.match(listed, [
      { id: sessionIdOf(second), ip: '127.0.0.1', current: false }, { id: sessionIdOf(first), current: false }
    ])
    t.equal(listed.length, 2)
    t.same(
      (await get(app, `/users/${adminId}/sessions`, admin))
        .json()
        .sessions
        .map(({ current }: { current: boolean }) => current),
      [true]
    )
    t.equal((await send(app, `DELETE ${url}`, { token: admin })).statusCode, 204)
    t.same((await get(app, url, admin)).json(), { sessions: [] })
    for (const method of ['GET', 'DELETE'] as const) {
      const missing = crypto.randomUUID()
      expectError(t, await send(app, `${method} /users/${missing}/sessions`, { token: admin }), 404, 'not_found')
      expectError(t, await send(app, `${method} /users/x/sessions`, { token: admin }), 400, 'invalid_request')
    }
  })
}))
