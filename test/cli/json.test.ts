import { decodeJwt } from 'jose'
import pg from 'pg'
import t from 'tap'
import { CommandError, exitCodeOf } from '../../src/cli/failure.ts'
import { OutageError, SignoutError, StartupError } from '../../src/errors.ts'
import { build, promptServersEnv, serversEnv, type Env } from '../support/app.ts'
import { fail, signout, succeed } from '../support/cli.ts'
import { password, register, signIn, signUpWithSessions } from '../support/people.ts'
import { sessionIdOf } from '../support/sessions.ts'

const uuid = /^[0-9a-f-]{36}$/

t.test('every command prints its result as JSON with --json', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { username } = await register(app)
  const { access_token: token } = await signIn(app, username)
  const { jti, sub } = decodeJwt(token)
  const json = async (...args: string[]) =>
    JSON.parse(await succeed(t, [...args, '--json'], { env, input: password }))
  const created = { id: uuid, username: 'ada', role: 'admin', status: 'active' }
  t.match(await json('user', 'create', 'ada', '--admin'), created)
  t.match(await json('revoke', '--token', token), { dry_run: false, tokens: [jti], sessions: [] })
  const sid = sessionIdOf({ access_token: token })
  t.match(await json('revoke', '--user', username, '--dry-run'), { dry_run: true, tokens: [], sessions: [sid] })
  t.match(await json('revoke', '--session', sid), { dry_run: false, tokens: [], sessions: [sid] })
  t.match(await json('revoke', '--session', sid), { sessions: [] })
  t.match(await json('revoke', '--everyone', '--reason', 'x', '--yes'), { everyone: { sessions: 0, users: 0 } })
  t.match(await json('user', 'disable', username), { id: sub, status: 'disabled' })
  t.match(await json('user', 'enable', username), { id: sub, status: 'active' })
  t.same(await json('sessions', 'list', username), [])
  t.match(await json('keys', 'list'), [{ state: 'active' }, { state: 'spare' }])
  t.match(await json('migrate'), { dry_run: false, migrations: [] })
  t.match(await json('adopt-blocklist'), { prefix: env['BLOCKLIST_PREFIX'], redis: /^redis:/ })
  const { settings, servers, ...rest } = await json('check-config')
  t.same(rest, { ok: true, problems: [] })
  t.match(servers, [/can be reached, and its tables are up to date\.$/, /is fit for a blocklist\.$/])
  t.same(settings.PORT, { value: '3000', origin: 'default' })
  t.same(settings.ISSUER, { value: env['ISSUER'], origin: 'environment' })
  t.match(settings.KEY_ENCRYPTION_SECRET, { value: /^\(secret, \d+ bytes\)$/ })
})

t.test('check-config --json has the problems too, and exits with 1 for a mistake and 3 for an outage', async t => {
  const env = { ...await promptServersEnv(t), REDIS_URL: 'redis://127.0.0.1:1' }
  const check = async (more: object) => {
    const { code, stdout, stderr } = await signout(t, ['check-config', '--json'], { env: { ...env, ...more } })
    const { ok, problems } = JSON.parse(stdout)
    t.equal(ok, false)
    t.equal(stderr, problems.map((line: string) => `signout: ${line}\n`).join(''))
    return { code, problems }
  }
  t.match(await check({}), { code: 3, problems: [/^REDIS_URL: cannot connect/] })
  const unknownDatabase = `${(env as Env)['DATABASE_URL']}_that_does_not_exist`
  t.match(await check({ DATABASE_URL: unknownDatabase }), { code: 1, problems: [/^DATABASE_URL: /, /^REDIS_URL: /] })
  const mistakes = [/^PORT is "x"/, /^CLOCK_LEEWAY is "y"/]
  t.match(await check({ PORT: 'x', CLOCK_LEEWAY: 'y' }), { code: 1, problems: mistakes })
})

t.test('a command that Postgres does not answer within the deadline exits with 3', async t => {
  const env = await serversEnv(t)
  await build(t, env)
  const client = new pg.Client({ connectionString: String(env['DATABASE_URL']) })
  await client.connect()
  t.teardown(() => client.end())
  await client.query('begin')
  await client.query('lock table users in access exclusive mode')
  const line = await fail(t, 3, ['user', 'list'], { env: { ...env, DATABASE_DEADLINE_MS: '2500' } })
  t.match(line, /^The service is unavailable\. Try again\. \(/)
  await client.query('rollback')
  t.equal(await succeed(t, ['user', 'list'], { env }), 'There are no such users.\n')
})

t.test('the exit code is 3 for an outage, and 1 for a mistake that looks like one', async t => {
  for (const code of ['service_unavailable', 'revocation_unavailable', 'key_unavailable'] as const) {
    t.equal(exitCodeOf(new SignoutError(code)), 3, code)
  }
  for (const what of ['database', 'blocklist'] as const) t.equal(exitCodeOf(new OutageError(what, '')), 3)
  t.equal(exitCodeOf(new SignoutError('service_unavailable', { cause: new StartupError('a wrong secret') })), 1)
  t.equal(exitCodeOf(new SignoutError('service_unavailable', { cause: new OutageError('database', '') })), 3)
  for (const error of [new StartupError(''), new SignoutError('last_admin'), new CommandError('')]) {
    t.equal(exitCodeOf(error), 1, error.name)
  }
})

t.test('more than ten sessions are summarized, and --json has them all', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { username, sessions } = await signUpWithSessions(app, 13)
  const ids = sessions.map(sessionIdOf)
  const listed = (await succeed(t, ['sessions', 'list', username], { env })).split('\n')
  t.equal(listed.length, 13, 'a heading, ten sessions, the rest and the end')
  t.equal(listed[11], '… and 3 more. --json lists all.')
  t.equal(JSON.parse(await succeed(t, ['sessions', 'list', username, '--json'], { env })).length, 13)
  const revoke = ['revoke', '--user', username]
  const [summary, ...lines] = (await succeed(t, [...revoke, '--dry-run'], { env })).split('\n')
  t.equal(summary, 'Would end 13 sessions.')
  t.equal(lines.length, 12)
  t.equal(lines[10], '… and 3 more. --json lists all.')
  t.same(JSON.parse(await succeed(t, [...revoke, '--dry-run', '--json'], { env })).sessions.sort(), ids.sort())
  const done = (await succeed(t, revoke, { env })).split('\n')
  t.equal(done[0], 'Ended 13 sessions.')
  t.equal(done.filter(line => /^Ended the session [0-9a-f-]{36}\.$/.test(line)).length, 10)
})
