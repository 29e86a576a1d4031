import { decodeJwt } from 'jose'
import t from 'tap'
import { build, embeddedEnv, serversEnv } from '../support/app.ts'
import { asProcess, fail, signout, succeed } from '../support/cli.ts'
import { isQuick } from '../support/form.ts'
import { password, signIn, signUp } from '../support/people.ts'
import { get, outcome, refresh, send } from '../support/requests.ts'
import { typeAnswers } from '../support/terminal.ts'

const servers = ['Postgres and Redis', serversEnv, asProcess.succeed] as const
const storages = isQuick ? [servers] : [['embedded', embeddedEnv, succeed] as const, servers]

for (const [storage, makeEnv, run] of storages) {
  t.test(`${storage}: an administrator created on the command line can sign in and administer`, async t => {
    const env = await makeEnv(t)
    t.match(
      await succeed(t, ['user', 'create', 'Root', '--admin'], { env, input: `${password}\n` }),
      /^Created the administrator Root with the id [0-9a-f-]{36}\.\n$/
    )
    t.match(
      await run(t, ['user', 'create', 'ada'], { env, input: `${password}\r\n`, keepOpen: true }),
      /^Created the user ada with the id [0-9a-f-]{36}\.\n$/
    )
    const app = await build(t, env)
    const { access_token: token } = await signIn(app, 'root')
    t.equal(decodeJwt(token)['scope'], 'admin')
    t.equal((await get(app, '/users', token)).statusCode, 200)
    const { access_token: other } = await signIn(app, 'ada')
    t.equal((await get(app, '/users', other)).statusCode, 403, 'who is none does not')
  })
}

t.test('user create prints one line if the user cannot be created', async t => {
  const env = await serversEnv(t)
  const refused = (input: string | Buffer, name = 'ada') => fail(t, 1, ['user', 'create', name], { env, input })
  await Promise.all(
    (
      [
        ['too short\n', 'The password must have 15 characters or more.'],
        ['x'.repeat(100_000), 'The password must have 256 characters or fewer.'],
        [Buffer.from(`${'é'.repeat(20)}\n`, 'latin1'), 'The password on the standard input is not UTF-8.'],
        ...['', `\n${password}\n`].map(nothing =>
          [
            nothing,
            'No password was given: type it on a terminal, or write it to the standard input, as its first line.'
          ] as const)
      ] as const
    ).map(async ([input, line]) => { t.equal(await refused(input), line) })
  )
  await succeed(t, ['user', 'create', 'ada'], { env, input: password })
  t.equal(await refused(password, 'ADA'), 'This username is taken.')
})

t.test('user create on a terminal asks for the password twice and does not show it', async t => {
  const env = await serversEnv(t)
  const prompts = ['Password: ', 'The same again: ']
  const create = (...answers: string[]) => typeAnswers(
    t, 'user create ada', env, answers.map((answer, index) => [String(prompts[index]), answer])
  )
  t.same(
    await create('\u0003'),
    { code: 1, output: 'Password: \nsignout: No password was given, so nothing was done.\n' },
    'Ctrl-C'
  )
  t.same(
    await create(`${password}\r`, '\u0004'),
    { code: 1, output: 'Password: \nThe same again: \nsignout: No password was given, so nothing was done.\n' },
    'Ctrl-D'
  )
  t.same(await create(`${password}\r`, `${password}!\r`), {
    code: 1,
    output:
      'Password: \nThe same again: \nsignout: These were two different passwords, so nothing was done: try again.\n'
  })
  const { code, output } = await create(`${password}\r`, `${password}\r`)
  t.equal(code, 0)
  t.match(output, /^Password: \nThe same again: \nCreated the user ada with the id [0-9a-f-]{36}\.\n$/)
  t.ok(await signIn(await build(t, env), 'ada'))
})

t.test('a disabled user is signed out at every replica at once, and can sign in after user enable (P1)', async t => {
  const env = await serversEnv(t)
  const replicas = [await build(t, env), await build(t, env)] as const
  const [app, other] = replicas
  const { id, username, token, pair: first } = await signUp(app)
  const pair = await signIn(other, username)
  for (const replica of replicas) t.equal(outcome(await get(replica, '/me', token)), '200')
  for (const user of [username.toUpperCase(), id]) {
    t.equal(
      await succeed(t, ['user', 'disable', user], { env }),
      `${username} (${id}) is disabled, and all sessions have ended.\n`
    )
    for (const replica of replicas) {
      for (const ended of [token, pair.access_token]) {
        t.equal(outcome(await get(replica, '/me', ended)), '401 token_revoked')
      }
    }
  }
  for (const replica of replicas) {
    for (const { refresh_token: ended } of [first, pair]) {
      t.equal(outcome(await refresh(replica, ended)), '401 token_revoked')
    }
    const login = await send(replica, 'POST /login', { body: { username, password } })
    t.equal(outcome(login), '403 account_disabled')
  }
  for (const user of [id, username]) {
    t.equal(await succeed(t, ['user', 'enable', user], { env }), `${username} (${id}) is active, and can sign in.\n`)
  }
  for (const replica of replicas) t.ok(await signIn(replica, username))
})

t.test('user disable prints one line for the last administrator and for an unknown user', async t => {
  const env = await serversEnv(t)
  const root = await succeed(t, ['user', 'create', 'root', '--admin'], { env, input: password })
  t.match(root, 'administrator')
  t.equal(
    await fail(t, 1, ['user', 'disable', 'root'], { env }),
    'The last administrator cannot be demoted, disabled or deleted.'
  )
  await Promise.all(
    [
      ['disable', 'nobody'], ['enable', 'no body'], ['disable', ''], ['enable', '3f0f2c9e-5b0a-4a53-9d0c-0f7f9f4a1f7e']
    ].map(async ([act = '', nobody = '']) => {
      t.equal(await fail(t, 1, ['user', act, nobody], { env }), `There is no user named ${nobody}.`)
    })
  )
})

t.test('a username that equals the id of another user is ambiguous, and that user is not disabled', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const ada = await signUp(app)
  const impostor = await signUp(app, ada.id)
  t.equal(
    await fail(t, 1, ['user', 'disable', ada.id], { env }),
    `${ada.id} is the id of ${ada.username}, and the username of the user with the id ${impostor.id}: say which, by the other name of either.`
  )
  await succeed(t, ['user', 'disable', impostor.id], { env })
  t.equal((await get(app, '/me', ada.token)).statusCode, 200)
  t.equal((await get(app, '/me', impostor.token)).statusCode, 401)
})

t.test('changes on the command line are recorded as acts of an operator', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { id, username } = await signUp(app)
  const { stdout } = await signout(t, ['user', 'disable', id], { env })
  t.notMatch(stdout, 'status_changed', 'and not printed')
  await succeed(t, ['user', 'enable', id], { env })
  const { access_token: token } = await signIn(app, username)
  const { events } = (await get(app, '/me/security-events', token)).json() as {
    events: Array<{ type: string, by_admin: boolean }>
  }
  t.equal(events.filter(({ type, by_admin: byAdmin }) => type === 'status_changed' && byAdmin).length, 2)
})
