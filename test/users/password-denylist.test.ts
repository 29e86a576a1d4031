import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { createPasswordDenylist, readDenylistFile } from '../../src/users/password-denylist.ts'
import { build, scratchFolder, serversEnv, shareStorages } from '../support/app.ts'
import { query } from '../support/database.ts'
import { keepLog } from '../support/log.ts'
import { password, register, signIn } from '../support/people.ts'
import { outcome, send } from '../support/requests.ts'

const message = 'is easy to guess: it is a common password, or a variation of one or of a name'
const denylist = createPasswordDenylist({ serviceNames: ['signout', 'auth.example.com'] })
const isRefused = (password: string, username = 'ada@example.com') =>
  denylist.refuse(password, username).then(() => false, error => error.details[0].message === message)

t.test('common passwords, the username, the name of the service, and their variations are refused', async t => {
  for (const guessable of [
    'trustno1', 'passwordpassword', 'Password Password!', 'P@ssw0rd2024!!', 'password12345678', 'drowssapdrowssap',
    'qwertyuiopasdfg', '123456789012345', 'aaaaaaaaaaaaaaa', 'abcabcabcabcabc', 'abcdefghijklmnop', '!@#$%^&*()_+!@#$',
    'ada@example.com', 'ADA@example.com1', 'example.com2024', 'SIGNOUT-2024-2024', 'auth.example.com!'
  ]) {
    t.equal(await isRefused(guessable), true, guessable)
  }
})

t.test('other passwords are accepted: several words, random characters, any alphabet', async t => {
  for (const good of [
    password, password + 'x'.repeat(200),
    'a wholly different pass phrase', 'velvet-otter-93-mist', 'xkq83hdk2lap90z', 'password is fine xyz',
    'Tr0ub4dor&3-kitten-moon', 'пароль который длинный', '\u{1F600}\u{1F601}\u{1F602}\u{1F603}\u{1F604}\u{1F605}'
  ]) {
    t.equal(await isRefused(good), false, good)
  }
})

t.test('PASSWORD_DENYLIST_FILE adds words, and a file that cannot be read is refused at the start', async t => {
  const file = join(scratchFolder(t), 'words.txt')
  writeFileSync(file, 'Grace Hopper\r\n\nzaphodbeeblebrox\n')
  const words = await readDenylistFile(file)
  const denylist = createPasswordDenylist({ serviceNames: [], words })
  for (const guessable of ['grace hopper', 'zaphodbeeblebrox42', 'Zaphodbeeblebrox']) {
    await t.rejects(denylist.refuse(guessable, 'ada'), { code: 'invalid_request' }, guessable)
  }
  await t.resolves(denylist.refuse('another one altogether', 'ada'))
  await t.rejects(readDenylistFile(`${file}.not`), {
    message: /^PASSWORD_DENYLIST_FILE is ".*words.txt.not", which cannot be read \(ENOENT\); it must be a text file/
  })
})

const storages = shareStorages(t)

t.test('POST /register and PUT /me/password refuse a password that is easy to guess', t => storages(t, async (t, app) => {
  const body = { username: 'grace.hopper@example.com', password: 'grace.hopper@example.com' }
  const refused = await send(app, 'POST /register', { body })
  t.equal(outcome(refused), '400 invalid_request')
  t.same(refused.json().details, [{ path: '/password', message }])
  const { username } = await register(app)
  const { access_token: token } = await signIn(app, username)
  const change = { current_password: password, new_password: 'passwordpassword' }
  const unchanged = await send(app, 'PUT /me/password', { token, body: change })
  t.same(unchanged.json().details, [{ path: '/new_password', message }])
  t.equal(outcome(await send(app, 'GET /me', { token })), '200', 'nothing has ended')
}))

t.test('a hash that costs less than new ones is renewed at a login, and all logins succeed', async t => {
  const env = await serversEnv(t)
  const before = await build(t, env)
  const { id, username } = await register(before)
  await before.close()
  const app = buildApp(loadConfig(env), false, { hashCost: { memoryCost: 64, timeCost: 2 } })
  t.teardown(() => app.close())
  await app.ready()
  const hashOf = async () =>
    String((await query<{ hash: string }>(app, `select password_hash as hash from users where id = '${id}'`))[0]?.hash)
  t.match(await hashOf(), '$argon2id$v=19$m=8,t=1,p=1$')
  const body = { username, password }
  const wrong = await send(app, 'POST /login', { body: { username, password: 'a wrong pass phrase' } })
  t.equal(wrong.statusCode, 401)
  t.match(await hashOf(), 'm=8,t=1,', 'a wrong password renews nothing')
  const answers = await Promise.all(Array.from({ length: 4 }, () => send(app, 'POST /login', { body })))
  t.same(answers.map(outcome), ['200', '200', '200', '200'], 'also those during which it is renewed')
  const renewed = await hashOf()
  t.match(renewed, '$argon2id$v=19$m=64,t=2,p=1$')
  t.equal(outcome(await send(app, 'POST /login', { body })), '200')
  t.equal(await hashOf(), renewed, 'once')
})

t.test('a damaged hash is an error in the log, and a plain 401 for the user', async t => {
  const log = keepLog()
  const app = await build(t, await serversEnv(t), log.logger)
  const { id, username } = await register(app)
  await query(app, `update users set password_hash = '$argon2id$damaged' where id = '${id}'`)
  const answer = await send(app, 'POST /login', { body: { username, password } })
  t.equal(answer.body, '{"error":"invalid_credentials","description":"The username or the password is wrong."}')
  t.match(log.lines().find(({ msg }) => msg === 'A password hash is damaged'), { level: 50, user_id: id })
})
