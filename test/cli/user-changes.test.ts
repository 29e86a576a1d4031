import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { build, serversEnv, type Env } from '../support/app.ts'
import { fail, succeed } from '../support/cli.ts'
import { password, signIn, signUp, signUpAdmin } from '../support/people.ts'
import { onPostgres } from '../support/record.ts'
import { outcome, send } from '../support/requests.ts'
import { ended, refusals } from '../support/sessions.ts'
import { typeAnswers } from '../support/terminal.ts'

const otherPassword = 'another correct horse battery staple'

/** Starts a service, with a function that runs a command on it. */
async function start (t: Test) {
  const env = await serversEnv(t)
  const app = await build(t, env)
  return { env, app, user: (args: string[], input = '') => succeed(t, ['user', ...args], { env, input }) }
}

/** Returns the security events of a user that an operator caused, newest last. */
const actsOf = (env: Env, id: string) => onPostgres(
  env,
  `select type, actor_id, details from security_events
    where user_id = $1 and details->>'by' is not null order by position`,
  [id]
)

const login = async (app: FastifyInstance, username: string, password: string) =>
  outcome(await send(app, 'POST /login', { body: { username, password } }))

t.test('user promote and user demote set the role, end all sessions, and are recorded', async t => {
  const { env, app, user } = await start(t)
  await signUpAdmin(app)
  const { id, username, pair } = await signUp(app)
  t.equal(
    await user(['promote', username]), `${username} (${id}) is an administrator now, and all sessions have ended.\n`
  )
  t.same(await refusals(app, pair), ended)
  const admin = await signIn(app, username)
  t.equal(outcome(await send(app, 'GET /users', { token: admin.access_token })), '200')
  t.equal(await user(['promote', id]), `${username} (${id}) is an administrator already.\n`)
  t.equal(outcome(await send(app, 'GET /users', { token: admin.access_token })), '200', 'whose session goes on')
  t.match(JSON.parse(await user(['demote', id, '--json'])), { id, username, role: 'user', status: 'active' })
  t.same(await refusals(app, admin), ended)
  t.equal(await user(['demote', id]), `${username} (${id}) is an ordinary user already.\n`)
  t.same(await actsOf(env, id), [
    { type: 'role_changed', actor_id: null, details: { by: 'operator', role: 'admin', sessions: 1 } },
    { type: 'role_changed', actor_id: null, details: { by: 'operator', role: 'user', sessions: 1 } }
  ])
})

t.test('the last administrator cannot be demoted or deleted by a command', async t => {
  const { env, app } = await start(t)
  const { username, pair } = await signUpAdmin(app)
  for (const args of [['demote', username], ['delete', username, '--yes']]) {
    t.equal(
      await fail(t, 1, ['user', ...args], { env }), 'The last administrator cannot be demoted, disabled or deleted.'
    )
  }
  t.equal(outcome(await send(app, 'GET /users', { token: pair.access_token })), '200')
})

t.test('user set-password sets a password by the rules, ends all sessions, and is recorded', async t => {
  const { env, app, user } = await start(t)
  const { id, username, pair } = await signUp(app)
  for (const [input, line] of [
    ['too short\n', 'The password must have 15 characters or more.'],
    [`${username}${username}\n`, /^The password .*\.$/],
    ['', /^No password was given: /]
  ] as const) {
    const refused = await fail(t, 1, ['user', 'set-password', username], { env, input })
    if (typeof line === 'string') t.equal(refused, line)
    else t.match(refused, line)
  }
  t.match(await refusals(app, pair), { access: undefined }, 'nothing has changed')
  const other = await signIn(app, username)
  t.equal(
    await user(['set-password', username], `${otherPassword}\n`),
    `${username} (${id}) has a new password, and all sessions have ended.\n`
  )
  t.same(await refusals(app, other), ended)
  t.equal(await login(app, username, password), '401 invalid_credentials')
  t.equal(await login(app, username, otherPassword), '200')
  t.match(JSON.parse(await user(['set-password', id, '--json'], otherPassword)), { id, username })
  t.same(await actsOf(env, id), [
    { type: 'password_changed', actor_id: null, details: { by: 'operator', sessions: 2 } },
    { type: 'password_changed', actor_id: null, details: { by: 'operator', sessions: 1 } }
  ])
  t.match(await onPostgres(env, 'select distinct end_reason from sessions'), [{ end_reason: 'ended_by_admin' }])
})

t.test('user set-password lets a user sign in who had too many wrong passwords in a row', async t => {
  const env = { ...await serversEnv(t), LIMIT_PASSWORD_IN_A_ROW: '2/86400' }
  const app = await build(t, env)
  const { username } = await signUp(app)
  // The place of the owner is known, so it is another one.
  const tryTo = async (tried: string) => outcome(await send(app, 'POST /login', {
    body: { username, password: tried }, remoteAddress: '192.0.2.1'
  }))
  for (const expected of ['401 invalid_credentials', '401 invalid_credentials', '429 too_many_requests']) {
    t.equal(await tryTo('a wrong password of mine'), expected)
  }
  t.equal(await tryTo(password), '429 too_many_requests')
  await succeed(t, ['user', 'set-password', username], { env, input: otherPassword })
  t.equal(await tryTo(otherPassword), '200')
})

t.test('user delete deletes a user with all sessions, and can be repeated by the id', async t => {
  const { env, app, user } = await start(t)
  const { id, username, pair } = await signUp(app)
  t.equal(await user(['delete', username, '--yes']), `${username} (${id}) is deleted, and all sessions have ended.\n`)
  t.same(await refusals(app, pair), ended)
  t.equal(await login(app, username, password), '401 invalid_credentials')
  t.equal(
    await user(['delete', id, '--yes']),
    `The user ${id} was deleted already. What had ended before was revoked again.\n`
  )
  t.same(JSON.parse(await user(['delete', id, '--yes', '--json'])), { id, username: null, deleted: true })
  t.same(await actsOf(env, id), [{ type: 'account_deleted', actor_id: null, details: { by: 'operator' } }])
})

t.test('changes of an unknown user print one line, and change nothing', async t => {
  const { env } = await start(t)
  const id = '3f0f2c9e-5b0a-4a53-9d0c-0f7f9f4a1f7e'
  for (const args of [
    ['show', 'grace'], ['promote', 'grace'], ['demote', 'grace'], ['set-password', 'grace'],
    ['delete', 'grace', '--yes']
  ]) {
    const line = await fail(t, 1, ['user', ...args], { env, input: otherPassword })
    t.equal(line, 'There is no user named grace.', args.join(' '))
  }
  t.equal(await fail(t, 1, ['user', 'delete', id, '--yes'], { env }), `There is no user named ${id}.`)
})

t.test('on a terminal, user delete asks first, and user set-password asks twice without an echo', async t => {
  const { env, app } = await start(t)
  const { id, username } = await signUp(app)
  const remove = (answer: string) => typeAnswers(t, `user delete ${username}`, env, [['Type yes to go on: ', answer]])
  const refused = await remove('y\r')
  t.equal(refused.code, 1)
  t.match(refused.output, `Delete ${username} (${id}) for ever? Type yes to go on: `)
  t.match(refused.output, 'signout: Nothing was done.\n')
  const { code, output } = await typeAnswers(t, `user set-password ${username}`, env, [
    ['Password: ', `${otherPassword}\r`], ['The same again: ', `${otherPassword}\r`]
  ])
  t.equal(code, 0)
  t.equal(
    output,
    `Password: \nThe same again: \n${username} (${id}) has a new password, and all sessions have ended.\n`
  )
  t.equal(await login(app, username, otherPassword), '200')
  t.equal((await remove('yes\r')).code, 0)
  t.equal(await login(app, username, otherPassword), '401 invalid_credentials')
})
