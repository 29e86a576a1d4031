import t from 'tap'
import { build, serversEnv } from '../support/app.ts'
import { fail, succeed } from '../support/cli.ts'
import { password, signIn, signUp } from '../support/people.ts'
import { logOut } from '../support/requests.ts'

t.test('sessions list prints the live sessions of a user as a table, newest first', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { id, username, token } = await signUp(app)
  await signIn(app, username, { userAgent: 'Firefox/1' })
  await signIn(app, username, { userAgent: 'Firefox/2' })
  await logOut(app, token)
  for (const user of [id, username.toUpperCase()]) {
    const [heading, ...lines] = (await succeed(t, ['sessions', 'list', user], { env })).trimEnd().split('\n')
    t.match(heading, /^ID +CREATED +LAST USED +EXPIRES +IP +USER AGENT$/)
    const instant = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/.source
    for (const [index, userAgent] of ['Firefox/2', 'Firefox/1'].entries()) {
      t.match(
        lines[index], new RegExp(`^[0-9a-f-]{36}  ${instant}  ${instant}  ${instant}  127\\.0\\.0\\.1  ${userAgent}$`)
      )
    }
    t.equal(lines.length, 2, 'without the one that has ended')
  }

  await t.test('sessions list --json prints the sessions as the API answers them', async t => {
    const sessions = JSON.parse(await succeed(t, ['sessions', 'list', username, '--json'], { env })) as Array<
      Record<string, unknown>
    >
    t.equal(sessions.length, 2)
    t.match(sessions[0], {
      id: /^[0-9a-f-]{36}$/,
      created_at: /Z$/,
      last_used_at: /Z$/,
      expires_at: /Z$/,
      ip: '127.0.0.1',
      user_agent: 'Firefox/2'
    })
    t.notOk(sessions.some(session => 'current' in session), 'none is that of the request')
  })
})

t.test('sessions list escapes control characters in a user agent', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { username } = await signUp(app)
  const userAgent = '\u001b[2Jred\u001b[31m\u009b1mline\nand\u202eanother\u2028one'
  await signIn(app, username, { userAgent })
  const output = await succeed(t, ['sessions', 'list', username], { env })
  t.match(output, /red.*line.*and.*another.*one\n/)
  t.notMatch(output.replaceAll('\n', ''), /[\p{C}\u2028]/u)
  t.ok(output.includes('\\u001b[2Jred'), 'it is escaped, not dropped')

  const json = await succeed(t, ['sessions', 'list', username, '--json'], { env })
  t.notMatch(json.replaceAll('\n', ''), /[\p{C}\u2028]/u)
  t.equal(JSON.parse(json)[0].user_agent, userAgent, 'and JSON means the same')
})

t.test('sessions list without live sessions prints one line, and with --json an empty list', async t => {
  const env = await serversEnv(t)
  const id = /[0-9a-f-]{36}/.exec(await succeed(t, ['user', 'create', 'ada'], { env, input: password }))?.[0]
  t.equal(await succeed(t, ['sessions', 'list', 'ADA'], { env }), `ada (${id}) has no live sessions.\n`)
  t.equal(await succeed(t, ['sessions', 'list', 'ada', '--json'], { env }), '[]\n')
  t.equal(await fail(t, 1, ['sessions', 'list', 'grace'], { env }), 'There is no user named grace.')
})
