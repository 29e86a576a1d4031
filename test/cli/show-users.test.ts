import t from 'tap'
import { build, embeddedEnv, serversEnv } from '../support/app.ts'
import { fail, succeed } from '../support/cli.ts'
import { isQuick } from '../support/form.ts'
import { register, signIn, signUp, signUpAdmin } from '../support/people.ts'
import { onPostgres } from '../support/record.ts'
import { logOut } from '../support/requests.ts'

interface Listed {
  users: Array<{ username: string }>
  next_cursor: string | null
}

const storages = [['Postgres and Redis', serversEnv], ...isQuick ? [] : [['embedded', embeddedEnv] as const]] as const
for (const [storage, makeEnv] of storages) {
  t.test(`${storage}: user list prints users by pages and filters, oldest first`, async t => {
    const env = await makeEnv(t)
    const app = await build(t, env)
    const { username: admin } = await signUpAdmin(app)
    const names = ['Ada.One', 'grace_one', 'eve%one', 'ada.two']
    for (const name of names) await register(app, name)
    const { id } = await register(app, 'ivan')
    await app.userAdministration.setStatus(id, 'disabled', {})
    await app.close()
    const list = async (...args: string[]) => {
      const page = JSON.parse(await succeed(t, ['user', 'list', ...args, '--json'], { env })) as Listed
      return { names: page.users.map(({ username }) => username), cursor: page.next_cursor }
    }
    t.same(await list(), { names: [admin, ...names, 'ivan'], cursor: null })
    t.same((await list('--search', 'ADA')).names, ['Ada.One', 'ada.two'])
    t.same((await list('--search', '_one')).names, ['grace_one'], 'no wildcard')
    t.same((await list('--search', '%')).names, ['eve%one'])
    t.same((await list('--role', 'admin')).names, [admin])
    t.same((await list('--status', 'disabled')).names, ['ivan'])
    t.same((await list('--status', 'disabled', '--role', 'admin')).names, [])
    const first = await list('--role', 'user', '--limit', '3')
    t.same(first.names, ['Ada.One', 'grace_one', 'eve%one'])
    t.same(await list('--role', 'user', '--after', String(first.cursor)), { names: ['ada.two', 'ivan'], cursor: null })
    t.match(await fail(t, 1, ['user', 'list', '--after', 'x'], { env }), 'cursor must be the next_cursor of a page')
    const lines = (await succeed(t, ['user', 'list', '--limit', '2'], { env })).split('\n')
    t.match(lines[0], /^USERNAME +ID +ROLE +STATUS +CREATED$/)
    t.match(lines[1], new RegExp(`^${admin} +[0-9a-f-]{36} +admin +active +\\d{4}-\\d\\d-\\d\\dT[\\d:]{8}Z$`))
    t.match(lines.slice(3), [/^There are more\. For the next page: --after [\w-]+$/, ''])
    t.equal(await succeed(t, ['user', 'list', '--search', 'nothing'], { env }), 'There are no such users.\n')
  })
}

t.test('user list prints 20 users at most, unless a limit is given', async t => {
  const env = await serversEnv(t)
  await onPostgres(env, `insert into users (id, username, password_hash)
    select gen_random_uuid(), 'user-' || number, 'x' from generate_series(1, 25) as number`)
  const linesOf = async (...args: string[]) => (await succeed(t, ['user', 'list', ...args], { env })).split('\n').length
  t.equal(await linesOf(), 23, 'with a heading, a cursor and the end')
  t.equal(await linesOf('--limit', '1000'), 27)
})

t.test('user show prints the role, the status, the number of live sessions and the last login', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { id, username } = await register(app)
  const show = async () => JSON.parse(await succeed(t, ['user', 'show', username, '--json'], { env }))
  const { created_at: createdAt, ...never } = await show()
  t.same(never, { id, username, role: 'user', status: 'active', live_sessions: 0, last_login_at: null })
  const first = await signIn(app, username)
  await signIn(app, username)
  await logOut(app, first.access_token)
  await signUp(app)
  const { live_sessions: live, last_login_at: at } = await show()
  t.equal(live, 1)
  const [last] = await onPostgres<{ at: Date }>(
    env, "select max(at) as at from security_events where type = 'login' and user_id = $1", [id]
  )
  const [opened] = await onPostgres<{ at: Date }>(
    env, 'select max(created_at) as at from sessions where user_id = $1', [id]
  )
  t.equal(at, new Date(Math.max(Number(last?.at), Number(opened?.at))).toISOString())
  const seconds = (instant: string) => instant.replace(/\.\d+Z$/, 'Z')
  t.equal(
    await succeed(t, ['user', 'show', id], { env }),
    [
      `USERNAME       ${username}`, `ID             ${id}`, 'ROLE           user', 'STATUS         active',
      `CREATED        ${seconds(createdAt)}`, 'LIVE SESSIONS  1', `LAST LOGIN     ${seconds(at)}`, ''
    ].join('\n')
  )
  await onPostgres(env, 'delete from sessions')
  await onPostgres(env, "update security_events set at = '2026-01-02T03:04:05Z'")
  t.match(await show(), { live_sessions: 0, last_login_at: '2026-01-02T03:04:05.000Z' })
})
