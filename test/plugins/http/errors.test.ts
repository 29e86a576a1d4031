import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { loadConfig } from '../../../src/config.ts'
import { errorCodes, SignoutError, describeError } from '../../../src/errors.ts'
import { buildUnready, serversEnv } from '../../support/app.ts'
import { password, signUp } from '../../support/people.ts'
import { expectError, get, logOut, send } from '../../support/requests.ts'

/** The app with routes that fail on purpose, and its log. */
async function failingApp (t: Test): Promise<{ app: FastifyInstance, log: () => string }> {
  const lines: string[] = []
  const app = buildUnready(t, loadConfig(await serversEnv(t)), {
    level: 'info',
    stream: {
      write: line => { lines.push(line) }
    }
  })
  app.after(() => {
    app.get('/broken', async () => { throw new Error('the cause, which nobody must read') })
    app.get('/undefined', async () => { throw undefined }) // eslint-disable-line no-throw-literal
    app.get('/teapot', async () => { throw Object.assign(new Error('short and stout'), { statusCode: 418 }) })
    app.get('/fail/:code', async request => { throw new SignoutError((request.params as { code: 'forbidden' }).code) })
    app.get('/after-headers/:code', async (request, reply) => {
      reply.headers({
        'www-authenticate': 'Bearer realm="another"',
        'retry-after': 60,
        'cache-control': 'public, max-age=300',
        'x-content-type-options': 'other'
      })
      throw new SignoutError((request.params as { code: 'forbidden' }).code)
    })
    app.get('/duplicate-user', async () => {
      await app.database.run(db =>
        db.execute(
          "insert into users (id, username, password_hash) select gen_random_uuid(), username, 'the hash' from users"
        )
      )
    })
  })
  await app.ready()
  return { app, log: () => lines.join('') }
}

const statuses: Record<string, number> = {
  invalid_request: 400,
  authorization_required: 401,
  invalid_token: 401,
  token_expired: 401,
  token_revoked: 401,
  refresh_token_reused: 401,
  insufficient_user_authentication: 401,
  invalid_credentials: 401,
  forbidden: 403,
  registration_closed: 403,
  account_disabled: 403,
  origin_not_allowed: 403,
  not_found: 404,
  method_not_allowed: 405,
  username_taken: 409,
  last_admin: 409,
  key_not_ready: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  too_many_requests: 429,
  internal_error: 500,
  revocation_unavailable: 503,
  key_unavailable: 503,
  service_unavailable: 503
}

t.test('every error code has its status, its sentence and its headers', async t => {
  const { app } = await failingApp(t)
  t.same([...errorCodes].sort(), Object.keys(statuses).sort())
  for (const code of errorCodes) {
    const answer = await get(app, `/fail/${code}`)
    t.equal(answer.statusCode, statuses[code], code)
    const { description } = describeError(code)
    t.same(answer.json(), { error: code, description }, code)
    t.match(description, /^[A-Z].*\.$/, 'a sentence')
    t.match(description, /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/, 'in the characters that RFC 6750 allows in a header')
    t.equal(answer.headers['retry-after'], statuses[code] === 503 ? '1' : undefined, code)
    const parameters = `error_description="${description}"`
    const challenge = /^(invalid_token|token_)/.test(code)
      ? `Bearer realm="signout", error="invalid_token", ${parameters}`
      : code === 'insufficient_user_authentication'
        ? `Bearer realm="signout", error="${code}", ${parameters}`
        : 'Bearer realm="signout"'
    const insufficient = `Bearer realm="signout", error="insufficient_scope", ${parameters}`
    t.equal(
      answer.headers['www-authenticate'],
      statuses[code] === 401 ? challenge : code === 'forbidden' ? insufficient : undefined,
      code
    )
  }
  t.equal(describeError('authorization_required').description, 'Request does not contain an access token.')
  t.equal(describeError('token_expired').description, 'The token has expired.')
  t.equal(describeError('token_revoked').description, 'The token has been revoked.')
})

t.test('an error answer has the headers of its own error, and not those that were set before', async t => {
  const { app } = await failingApp(t)
  for (const code of errorCodes) {
    const headers = { 'x-request-id': 'one' }
    const clean = await send(app, `GET /fail/${code}`, { headers })
    const after = await send(app, `GET /after-headers/${code}`, { headers })
    t.same({ ...after.headers, date: '' }, { ...clean.headers, date: '' }, code)
    t.match(after.headers, { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }, code)
  }
})

t.test('DELETE /me with a revoked token is 503 without a challenge while Postgres is down', async t => {
  const { app } = await failingApp(t)
  const { token } = await signUp(app, 'ada')
  await logOut(app, token)
  await app.database.close()
  const answer = await send(app, 'DELETE /me', { token, body: { password } })
  expectError(t, answer, 503, 'service_unavailable')
  t.equal(answer.headers['www-authenticate'], undefined)
  t.equal(answer.headers['retry-after'], '1')
})

t.test('a defect is a 500, and its cause is only in the log', async t => {
  const { app, log } = await failingApp(t)
  await signUp(app, 'ada')
  for (const url of ['/broken', '/undefined', '/duplicate-user']) {
    const answer = await get(app, url)
    t.equal(answer.statusCode, 500, url)
    t.same(answer.json(), { error: 'internal_error', description: 'The server failed. Its log has the cause.' }, url)
  }
  t.match(log(), 'the cause, which nobody must read')
  t.match(log(), 'The database refused a query with SQLSTATE 23505 (users_username_unique).')
  t.notMatch(log(), 'the hash', 'no parameter or value of a query')
  t.equal((await get(app, '/teapot')).json().error, 'invalid_request', 'an error of a plugin that is the client\'s')
})

t.test('an unknown path is 404', async t => {
  const { app } = await failingApp(t)
  for (const [method, url] of [
    ['GET', '/nowhere'], ['POST', '/nowhere'], ['OPTIONS', '/nowhere'], ['GET', '/me/'], ['GET', '/ME'],
    ['DELETE', '/me/sessions/a/b'], ['GET', '/me%2Fsessions'], ['GET', '//me'], ['PUT', '/%E0%A4%A']
  ] as const) {
    const answer = await send(app, `${method} ${url}`)
    if (url.includes('%E0')) t.equal(answer.statusCode, 400, url)
    else t.equal(answer.statusCode, 404, `${method} ${url}`)
    t.equal(answer.headers.allow, undefined, `${method} ${url}`)
  }
  const answer = await get(app, '/nowhere')
  t.same(answer.json(), { error: 'not_found', description: 'There is nothing at this address.' })
})

t.test('malformed HTTP and malformed addresses are answered with the same form of error', async t => {
  const { app } = await failingApp(t)
  const { port } = new URL(await app.listen({ port: 0 }))
  const send = (text: string) => new Promise<string>((resolve, reject) => {
    let answer = ''
    connect(Number(port), '127.0.0.1')
      .on('data', data => { answer += data.toString() })
      .on('end', () => { resolve(answer) })
      .on('error', reject)
      .write(text)
  })
  const answerWith = (description: string) => JSON.stringify({ error: 'invalid_request', description })
  const malformed = answerWith('The request is malformed.')
  for (const [text, status, body = malformed] of [
    ['nonsense\r\n\r\n', 400],
    ['NONSENSE / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 400,
      answerWith('The address has a % that is followed by no valid code.')],
    [`GET /users/${'x'.repeat(101)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`, 400,
      answerWith('A part of the address is longer than 100 characters.')]
  ] as const) {
    const answer = await send(text)
    t.equal(answer.split(' ')[1], String(status), text.slice(0, 30))
    t.ok(answer.endsWith(body), `${text.slice(0, 30)}: ${answer}`)
  }
})
