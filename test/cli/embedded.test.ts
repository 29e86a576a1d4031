import { chmodSync, existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import t from 'tap'
import { build, embeddedEnv, secret, serversEnv, type Env } from '../support/app.ts'
import { asProcess, fail, succeed } from '../support/cli.ts'
import { password, signIn, signInAt, signUp } from '../support/people.ts'
import { fetchFrom, get, refresh } from '../support/requests.ts'
import { messagesIn, spawnServer, startServer } from '../support/server-process.ts'
import { until } from '../support/wait.ts'

/** Commands, each with a way to run it. One runs as a process of its own. */
const commands = [
  [fail, ['migrate']],
  [fail, ['user', 'create', 'grace']],
  [fail, ['user', 'disable', 'ada']],
  [fail, ['sessions', 'list', 'ada']],
  [asProcess.fail, ['revoke', '--user', 'ada']]
] as const

t.test('embedded: while a server runs, each command asks to stop it first, and harms nothing', async t => {
  const env = await embeddedEnv(t)
  const server = await startServer(t, env)
  await fetchFrom(server.address, 'POST /register', { body: { username: 'ada', password } })
  const { access_token: token } = await signInAt(server.address, 'ada')
  const me = async () => (await fetchFrom(server.address, 'GET /me', { token })).status
  await Promise.all(commands.map(async ([run, args]) => {
    t.equal(
      await run(t, 1, [...args], { env, input: password }),
      `DATA_DIR ${env['DATA_DIR']} is in use by another process: stop it first, or name another folder.`
    )
  }))
  t.equal(await me(), 200)
  t.match(await succeed(t, ['check-config'], { env }), 'was not opened', 'the settings can be checked')

  await t.test('embedded: after the server has stopped, its data is complete', async t => {
    server.child.kill('SIGTERM')
    await server.ended
    t.equal((await asProcess.succeed(t, ['sessions', 'list', 'ada'], { env })).trimEnd().split('\n').length, 2)
    t.equal(await fail(t, 1, ['sessions', 'list', 'grace'], { env }), 'There is no user named grace.')
    t.equal((await get(await build(t, env), '/me', token)).statusCode, 200)
  })
})

t.test('embedded: the next server refuses access and refresh tokens revoked on the command line', async t => {
  const env: Env = { ...await embeddedEnv(t), KEY_ENCRYPTION_SECRET: secret }
  const dataDir = String(env['DATA_DIR'])
  chmodSync(dataDir, 0o755)
  const before = await build(t, env)
  const { username, token } = await signUp(before)
  const pair = await signIn(before, username)
  const alone = await signIn(before, username)
  const good = await signUp(before)
  await before.close()
  const { jti, sid } = decodeJwt(alone.access_token)
  t.equal(
    await succeed(t, ['revoke', '--token', String(jti)], { env }),
    `Revoked the token ${String(jti)}. Its session goes on.\n`
  )
  const between = await build(t, env)
  for (const [access, status] of [
    [alone.access_token, 401], [token, 200], [good.token, 200]
  ] as const) {
    t.equal((await get(between, '/token', access)).statusCode, status)
  }
  await between.close()
  t.match(await succeed(t, ['revoke', '--session', String(sid)], { env }), 'Ended the session')
  t.match(await succeed(t, ['revoke', '--user', username], { env }), /^(Ended the session [0-9a-f-]{36}\.\n){2}$/)
  t.match(await succeed(t, ['revoke', '--user', username], { env }), 'What had ended before was revoked again.')
  t.match(await succeed(t, ['user', 'disable', good.id], { env }), 'is disabled, and all sessions have ended.\n')
  const after = await build(t, env)
  for (const access of [token, pair.access_token, alone.access_token, good.token]) {
    t.equal((await get(after, '/token', access)).statusCode, 401)
  }
  t.equal((await refresh(after, pair.refresh_token)).statusCode, 401)

  await t.test('embedded with KEY_ENCRYPTION_SECRET stores no secret, and keeps the mode of the folder', async t => {
    t.notOk(existsSync(join(dataDir, 'key-encryption-secret')))
    t.equal(statSync(dataDir).mode & 0o777, 0o755)
  })
})

t.test('the command serve runs the same server as npm start', async t => {
  const { child, ended, output } = spawnServer(t, { PORT: '0', ...await serversEnv(t) }, 'cli.js', ['serve'])
  await until('it listens', () => output().includes('Documentation: '), 60_000)
  const address = /Listening: (http:\/\/[^"\s]+)/.exec(output())?.[1]
  t.equal((await fetchFrom(String(address), 'GET /health/ready')).status, 200)
  child.kill('SIGTERM')
  t.equal(await ended, 0)
  const refused = spawnServer(t, { PORT: 'http' }, 'cli.js', ['serve'])
  t.equal(await refused.ended, 1)
  t.same(messagesIn(refused.output()), [
    'signout cannot start: PORT is "http"; it must be a whole number from 0 to 65535.'
  ])
})
