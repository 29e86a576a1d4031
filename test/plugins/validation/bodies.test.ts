import t from 'tap'
import { loadConfig } from '../../../src/config.ts'
import { build, buildUnready, serversEnv } from '../../support/app.ts'
import { password, signUp } from '../../support/people.ts'
import { get, send } from '../../support/requests.ts'

const ada = { username: 'ada', password }
/** The answer to a body with one mistake against the schema. */
const details = (path: string, message: string) => ({
  status: 400,
  error: 'invalid_request',
  description: 'The body is invalid. Its mistakes are in details.',
  details: [{ path, message }]
})

t.test('an invalid body is refused with the status, the code and the place of the mistake', async t => {
  const app = await build(t, await serversEnv(t))
  const sendText = async (body: string | undefined, type = 'application/json', path = '/register') => {
    const answer = await send(app, `POST ${path}`, { body, headers: { 'content-type': type } })
    return { status: answer.statusCode, ...answer.json() }
  }

  const description = 'The body is empty or null. Send a JSON object.'
  const empty = { ...details('', 'must be a JSON object'), description }
  t.same(await sendText(''), empty)
  t.same(await sendText(undefined), empty)
  t.same(await sendText('null'), empty)
  t.same(await sendText('[]'), details('', 'must be a JSON object'))
  t.match(await sendText(JSON.stringify({ username: 'ada' })), details('/password', 'is missing'))
  t.match(await sendText(JSON.stringify({ ...ada, admin: true })), details('/admin', 'is not known here'))
  t.match(await sendText(JSON.stringify({ ...ada, username: 123 })), details('/username', 'must be a string'))
  t.match(await sendText(JSON.stringify({ ...ada, password: [password] })), details('/password', 'must be a string'))
  t.match(
    await sendText(JSON.stringify({ username: 'ada', password, more: 1 }), 'application/json', '/login'),
    details('/more', 'is not known here')
  )
  t.match(await sendText(JSON.stringify(ada).padEnd(70_000)), {
    status: 413, error: 'payload_too_large', description: 'The request body is too large.'
  })
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'nonsense']) {
    t.match(await sendText('username=ada', type), { status: 415, error: 'unsupported_media_type' }, type)
  }
  t.match((await send(app, 'POST /register')).json(), { error: 'invalid_request' }, 'no body and no type')
})

t.test('a validation error names every mistake, up to ten', async t => {
  const app = await build(t, await serversEnv(t))
  const detailsOf = async (body: object, path = '/register') => {
    const answer = await send(app, `POST ${path}`, { body })
    t.equal(answer.statusCode, 400, path)
    return (answer.json().details as Array<{ path: string; message: string }>).map(
      ({ path, message }) => `${path} ${message}`
    )
  }
  t.same(await detailsOf({}), ['/username is missing', '/password is missing'])
  t.same((await detailsOf({ username: '!', password: '', more: 1 })).map(detail => detail.split(' ')[0]).sort(), [
    '/more', '/password', '/username'
  ])
  t.same(await detailsOf({ username: '!', password: 'too short' }), [
    '/username must have 3 to 254 characters: letters from a to z, digits, and . _ % + @ -',
    '/password must have 15 characters or more'
  ])
  t.same(await detailsOf({ username: 'ada', password: 1, admin: true }), [
    '/admin is not known here', '/password must be a string'
  ])
  t.same(await detailsOf({ username: 1, password: 2 }, '/login'), [
    '/username must be a string', '/password must be a string'
  ])
  const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`p${index}`, 1]))
  const details = await detailsOf(many)
  t.equal(details.length, 10)
  t.same(
    details.slice(0, 2), ['/username is missing', '/password is missing'], 'those that the client must know come first'
  )
  const { token } = await signUp(app)
  const query = await get(app, '/me/security-events?limit=0&page=2&cursor=' + 'A'.repeat(201), token)
  t.same(query.json().details.map(({ path }: { path: string }) => path).sort(), ['/cursor', '/limit', '/page'])
})

t.test('passwords are measured in characters after normalisation, and never cut off', async t => {
  const app = await build(t, await serversEnv(t))
  const register = (username: string, password: string) =>
    send(app, 'POST /register', { body: { username, password } })
  const login = async (username: string, password: string) =>
    (await send(app, 'POST /login', { body: { username, password } })).statusCode
  const refused = async (password: string) => (await register('refused', password)).json().details

  t.same(await refused('x'.repeat(14)), [{ path: '/password', message: 'must have 15 characters or more' }])
  t.same(await refused('x'.repeat(257)), [{ path: '/password', message: 'must have 256 characters or fewer' }])
  t.same(
    await refused('e\u0301'.repeat(14)),
    [{ path: '/password', message: 'must have 15 characters or more' }],
    '28 code points, 14 characters'
  )
  t.same(await refused('\ud800'.repeat(20)), [{ path: '/password', message: 'must be well-formed Unicode' }])

  const rest = 256 - password.length
  const longest = await register('longest', password + 'e\u0301'.repeat(rest))
  t.equal(longest.statusCode, 201, 'more code points, 256 characters')
  t.equal(await login('longest', password + 'é'.repeat(rest)), 200)
  t.equal(await login('longest', `${password}${'é'.repeat(rest - 1)}e`), 401, 'the last character counts')
  t.equal((await register('emoji', '😀😁😂😃😄😅😆😇😈😉😊😋😌😍😎')).statusCode, 201)
  t.equal((await register('spaces', `  ${password}  `)).statusCode, 201)
  t.equal(await login('spaces', password), 401, 'nothing is trimmed')
  t.equal((await register('nul', `a\u0000${password}`)).statusCode, 201)
  t.equal(await login('nul', `a\u0000${password}x`), 401, 'a NUL ends nothing')
})

t.test('a path in an error is a JSON Pointer', async t => {
  const app = await build(t, await serversEnv(t))
  const answer = await send(app, 'POST /login', { body: { username: 'ada', password, 'a/b~c': 1 } })
  t.same(answer.json().details, [{ path: '/a~1b~0c', message: 'is not known here' }])
})

t.test('PASSWORD_MIN_LENGTH can lower the minimum length of a password', async t => {
  const app = buildUnready(t, loadConfig({ ...await serversEnv(t), PASSWORD_MIN_LENGTH: '8' }))
  const register = (password: string) =>
    send(app, 'POST /register', { body: { username: 'ada', password } })
  t.same((await register('1234567')).json().details, [{ path: '/password', message: 'must have 8 characters or more' }])
  t.equal((await register('q7#vLw2d')).statusCode, 201)
})
