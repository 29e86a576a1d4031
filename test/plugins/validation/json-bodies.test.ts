import t, { type Test } from 'tap'
import { build, serversEnv } from '../../support/app.ts'
import { password, signUp } from '../../support/people.ts'
import { send } from '../../support/requests.ts'

/** Returns a function that posts bytes, and returns the status, the code and the description of the answer. */
async function poster (t: Test) {
  const app = await build(t, await serversEnv(t))
  const post = async (body: string | Buffer, type = 'application/json', path = '/register') => {
    const answer = await send(app, `POST ${path}`, { headers: { 'content-type': type }, body })
    return `${answer.statusCode} ${answer.json().error ?? ''} ${answer.json().description ?? ''}`.trim()
  }
  return { app, post }
}

t.test('malformed JSON is called that, with the line and the column, and is not repeated', async t => {
  const { post } = await poster(t)
  const secret = 'my-own-secret-password'
  for (const [body, mistake] of [
    ['{', 'it ends too early at line 1, column 2'],
    [' ', 'it ends too early at line 1, column 2'],
    [`{"username": "ada", "password": "${secret}"`, 'it ends too early at line 1, column 57'],
    [`{"username": "ada", "password": "${secret}`, 'it ends too early at line 1, column 56'],
    [`{\n  "username": "ada",\n  "password": ${secret}\n}`, 'the mistake is at line 3, column 15'],
    [`{"password": '${secret}'}`, 'the mistake is at line 1, column 14'],
    [`{"password": "${secret}",}`, 'the mistake is at line 1, column 39'],
    [`{"é😀": ${secret}}`, 'the mistake is at line 1, column 8'],
    [`\uFEFF${secret}`, 'the mistake is at line 1, column 1'],
    [`username=ada&password=${secret}`, 'the mistake is at line 1, column 1']
  ] as const) {
    t.equal(await post(body), `400 invalid_request The body is not valid JSON: ${mistake}.`, body)
  }
})

t.test('a body with __proto__ or constructor.prototype is refused, and the answer says so', async t => {
  const { post } = await poster(t)
  const refused =
    '400 invalid_request The body has a property __proto__, or a constructor with a prototype. Remove it.'
  t.equal(await post(`{"username":"ada","password":"${password}","__proto__":{"admin":true}}`), refused)
  t.equal(await post('{"\\u005f_proto__":1}'), refused)
  t.equal(await post('{"a":{"constructor":{"prototype":1}}}'), refused)
})

t.test('a body that is not UTF-8 is refused, since different passwords would become the same', async t => {
  const { app, post } = await poster(t)
  await signUp(app, 'ada')
  const body = (password: string) => JSON.stringify({ username: 'ada', password })
  const latin1 = Buffer.from(body('caf\xe9 \xe8\xe0\xf9 motdepasse'), 'latin1')
  t.equal(await post(latin1), '400 invalid_request The body is not valid UTF-8. Send JSON in UTF-8.')
  for (const charset of ['iso-8859-1', '"windows-1252"', 'utf-16', 'utf-7']) {
    t.equal(
      await post(body('café'), `application/json; charset=${charset}`),
      '415 unsupported_media_type The Content-Type names another charset than UTF-8. Send JSON in UTF-8.', charset)
    const ascii = await post(body(password), `application/json; charset=${charset}`, '/login')
    t.equal(ascii, '200', 'ASCII is the same in each of them')
  }
  for (const type of [
    'application/json; charset=utf-8', 'application/json;charset=UTF8', 'Application/JSON; charset="utf-8"; a=b'
  ]) t.equal(await post(body('café'), type, '/login'), '401 invalid_credentials The username or the password is wrong.')
  t.equal(
    await post(Buffer.from(`\uFEFF${body(password)}`, 'utf16le')),
    '400 invalid_request The body is not valid UTF-8. Send JSON in UTF-8.')
})

t.test('a byte order mark before JSON is ignored', async t => {
  const { app, post } = await poster(t)
  await signUp(app, 'ada')
  t.equal(await post(`\uFEFF${JSON.stringify({ username: 'ada', password })}`, 'application/json', '/login'), '200')
})
