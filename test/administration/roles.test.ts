import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { createRoleAdministration } from '../../src/administration/role-administration.ts'
import { createSessionEnder } from '../../src/sessions/session-ender.ts'
import { createPerform } from '../../src/unit-of-work.ts'
import { shareStorages } from '../support/app.ts'
import { breakBlocklist } from '../support/blocklist.ts'
import { query } from '../support/database.ts'
import { register, signIn, signUp, signUpAdmin, type Pair } from '../support/people.ts'
import { expectError, get, refresh, send } from '../support/requests.ts'
import { randomName } from '../support/services.ts'
import { claimsOf, ended, isAccepted, refusals } from '../support/sessions.ts'

const onStorages = shareStorages(t)
const newRole = () => `role-${randomName()}`.replace(/[^a-z0-9_-]/g, '').slice(0, 60)

/** Returns the operations with batches of two users, so that a test needs few of them. */
function inSmallBatches (app: FastifyInstance) {
  return createRoleAdministration({
    database: app.database,
    perform: createPerform({ database: app.database, revoker: app.revoker, announce () {} }),
    ender: createSessionEnder(5),
    leewaySeconds: 5,
    batchSize: 2
  })
}

/** Signs up users with a role. */
async function signUpWith (app: FastifyInstance, role: string, count: number) {
  const users: Array<{ id: string, username: string, pair: Pair }> = []
  for (let number = 0; number < count; number++) {
    const { id, username } = await register(app)
    await app.userAdministration.setRole(id, role, {})
    users.push({ id, username, pair: await signIn(app, username) })
  }
  return users
}

const scopeOf = (pair: Pair) => (claimsOf(pair) as unknown as { scope: string }).scope

t.test('tokens carry the scopes of the role, at a login, a refresh and a new proof', t => onStorages(t, async (t, app) => {
  const role = newRole()
  await app.roleAdministration.set(role, ['b:write', 'a:read', 'b:write'])
  const [editor] = await signUpWith(app, role, 1)
  if (editor === undefined) return
  t.equal(scopeOf(editor.pair), 'a:read b:write')
  t.equal(scopeOf((await refresh(app, editor.pair.refresh_token)).json()), 'a:read b:write')
  const body = { password: 'correct horse battery staple' }
  const { access_token: fresh } = await signIn(app, editor.username)
  const again = await send(app, 'POST /reauthenticate', { token: fresh, body })
  t.equal(scopeOf(again.json()), 'a:read b:write')
  t.equal((await get(app, '/me', again.json().access_token)).json().role, role)
  t.equal((await get(app, '/verify?scope=a:read', again.json().access_token)).headers['x-scope'], 'a:read b:write')
  t.equal((await get(app, '/users', again.json().access_token)).statusCode, 403)
  t.equal(scopeOf((await signUp(app)).pair), 'user')
  t.equal(scopeOf((await signUpAdmin(app)).pair), 'admin')
}))

t.test('an administrator gives users a role that exists', t => onStorages(t, async (t, app) => {
  const { token } = await signUpAdmin(app)
  const role = newRole()
  const { id, pair } = await signUp(app)
  const put = (name: unknown) => send(app, `PUT /users/${id}/role`, { token, body: { role: name } })
  for (const name of [role, 'User', 'a b', '', 'x'.repeat(65), 7, 'user\n']) {
    const refused = await put(name)
    expectError(t, refused, 400, 'invalid_request', String(name))
    t.equal(refused.json().details[0].path, '/role')
  }
  t.ok(await isAccepted(app, pair), 'nothing has ended')
  await app.roleAdministration.set(role, ['x'])
  t.match((await put(role)).json(), { id, role })
  t.same(await refusals(app, pair), ended)
  t.match((await app.roleAdministration.list()).find(({ name }) => name === role), { scope: 'x', users: 1 })
}))

t.test('a change of a role ends the sessions of its users, in batches', t => onStorages(t, async (t, app) => {
  const roles = inSmallBatches(app)
  const [role, other] = [newRole(), newRole()]
  await roles.set(role, ['x'])
  await roles.set(other, ['x'])
  const users = await signUpWith(app, role, 5)
  const [stranger] = await signUpWith(app, other, 1)
  t.match(await roles.previewSet(role, ['x']), { isChanged: false, users: 0, sessions: 0 })
  t.match(await roles.set(role, ['x']), { isChanged: false, users: 0, sessions: 0 }, 'the same scopes change nothing')
  t.match(await roles.previewSet(role, ['y', 'x']), { isChanged: true, users: 5, sessions: 5 })
  t.match(await roles.set(role, ['y', 'x']), { scope: 'x y', isChanged: true, users: 5, sessions: 5 })
  for (const { pair, username, id } of users) {
    t.same(await refusals(app, pair), ended)
    const newer = await signIn(app, username)
    t.equal(scopeOf(newer), 'x y')
    const events = (await get(app, '/me/security-events', newer.access_token)).json().events
    t.match(events[1], { type: 'role_changed', by_admin: true, details: { role } })
    t.match((await app.userAdministration.listSessions(id)).length, 1)
  }
  t.match(await roles.set(role, ['y', 'x']), { isChanged: false, sessions: 0 }, 'later sessions go on')
  t.ok(stranger !== undefined && await isAccepted(app, stranger.pair))
}))

t.test('a deleted role leaves its users the role user, and ends their sessions', t => onStorages(t, async (t, app) => {
  const roles = inSmallBatches(app)
  const role = newRole()
  await roles.set(role, ['x'])
  const users = await signUpWith(app, role, 4)
  t.match(await roles.previewDelete(role), { users: 4, sessions: 4 })
  t.match(await roles.delete(role), { users: 4, sessions: 4 })
  for (const { pair, username } of users) {
    t.same(await refusals(app, pair), ended)
    t.equal(scopeOf(await signIn(app, username)), 'user')
  }
  await t.rejects(roles.delete(role), { code: 'not_found' })
  await t.rejects(roles.previewDelete(role), { code: 'not_found' })
  for (const name of ['user', 'admin']) await t.rejects(roles.delete(name), { code: 'invalid_request' })
}))

t.test('an unconfirmed change is recorded for every batch, and can be repeated', t => onStorages(t, async (t, app) => {
  for (const change of ['set', 'delete'] as const) {
    const roles = inSmallBatches(app)
    const role = newRole()
    await roles.set(role, ['x'])
    const users = await signUpWith(app, role, 5)
    const act = () => change === 'set' ? roles.set(role, ['y']) : roles.delete(role)
    const mend = breakBlocklist(app)
    await t.rejects(act(), { code: 'revocation_unavailable' })
    mend()
    const ids = users.map(({ id }) => `'${id}'`).join()
    const rows = await query(
      app, `select count(*)::int as count from sessions where end_reason = 'role_changed' and user_id in (${ids})`
    )
    t.same(rows, [{ count: 5 }], `${change}: every session has ended`)
    const revoked: string[] = []
    const { revoke } = app.blocklist
    app.blocklist.revoke = async entries => { revoked.push(...entries.map(({ id }) => id)); await revoke(entries) }
    await act()
    app.blocklist.revoke = revoke
    for (const { pair } of users) t.ok(revoked.includes(claimsOf(pair).sid), `${change}: it is revoked again`)
    for (const { pair } of users) t.same(await refusals(app, pair), ended)
  }
}))

t.test('reserved and malformed scopes and names are refused', t => onStorages(t, async (t, app) => {
  const roles = app.roleAdministration
  for (const scopes of [
    ['admin'], ['x', 'admin'], ['x admin'], [''], ['x', ''], [' x'], ['a"b'], ['a\\b'], ['é'], ['a\nb'], ['signout'],
    ['signout:introspect'], ['x'.repeat(1_001)], Array.from({ length: 300 }, (_, index) => `scope-${index}`)
  ]) {
    await t.rejects(roles.set(newRole(), scopes), { code: 'invalid_request' }, scopes.join().slice(0, 30))
  }
  for (const name of ['', 'A', '1x', 'a b', 'x'.repeat(65), 'é', 'a\n']) {
    await t.rejects(roles.set(name, ['x']), { code: 'invalid_request' }, name)
  }
  await t.rejects(roles.set('admin', ['x']), { code: 'invalid_request' }, 'no administration without administrators')
  const { pair } = await signUpAdmin(app)
  await roles.set('admin', ['admin', 'x'])
  t.same(await refusals(app, pair), ended)
  const { token, pair: newer } = await signUpAdmin(app)
  t.equal(scopeOf(newer), 'admin x')
  t.equal((await get(app, '/users', token)).statusCode, 200)
  await roles.set('admin', ['admin'])
}))

t.test('a role that is not in the table gives no right', t => onStorages(t, async (t, app) => {
  const { id, username } = await register(app)
  await query(app, `update users set role = 'lost' where id = '${id}'`)
  t.equal(scopeOf(await signIn(app, username)), '')
}))
