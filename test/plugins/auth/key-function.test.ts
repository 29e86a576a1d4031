import { mock } from 'node:test'
import t from 'tap'
import { SignoutError } from '../../../plugins/auth/auth.ts'
import { get } from '../../support/requests.ts'
import { goodClaims } from '../../support/tokens.ts'
import { bareApp, issuer, secret, sign } from './bare-app.ts'

type Done = (error: unknown, key?: string) => void
const nextTurn = () => new Promise(resolve => { setImmediate(resolve) })
/** The ways in which a key function can fail, for a failure that it finds out about. */
const forms: Record<string, (find: () => string | undefined) => unknown> = {
  promise: find => async () => find(),
  callback: find => (_request: unknown, _token: unknown, done: Done) => { tell(find, done) },
  'promise of a library': find => () => ({
    then: (...settle: Parameters<Promise<string>['then']>) =>
      Promise.resolve()
        .then(() => find() as string)
        .then(...settle)
  }),
  'late callback': find => (_request: unknown, _token: unknown, done: Done) => {
    setImmediate(() => { tell(find, done) })
  },
  'at once': find => () => find(),
  'public key of a pair': find => ({ private: secret, public: async () => find() })
}

function tell (find: () => string | undefined, done: Done): void {
  try {
    done(null, find())
  } catch (error) {
    done(error)
  }
}

t.test('a failed key function is 503 key_unavailable with Retry-After, and the failure is not remembered', async t => {
  for (const [name, form] of Object.entries(forms)) {
    let isBroken = true
    const find = () => {
      if (isBroken) throw new Error('ECONNREFUSED')
      return secret
    }
    const { app } = await bareApp(t, { key: form(find) })
    const token = sign(goodClaims(issuer))
    for (let round = 0; round < 2; round++) {
      isBroken = true
      for (const url of ['/me', '/own']) {
        const answer = await get(app, url, token)
        t.match(
          [answer.statusCode, answer.json().code, answer.headers['retry-after']],
          [503, 'key_unavailable', '1'],
          `${name}: ${url}`
        )
        t.notOk(answer.headers['www-authenticate'], name)
        t.notMatch(answer.body, 'ECONNREFUSED', 'the cause is not answered')
      }
      await t.rejects(app.verifyToken(token), { code: 'key_unavailable', cause: { message: 'ECONNREFUSED' } }, name)
      isBroken = false
      for (const url of ['/me', '/own']) {
        t.equal((await get(app, url, token)).statusCode, 200, `${name}: the next request to ${url}`)
      }
      t.match(await app.verifyToken(token), { iss: issuer })
    }
  }
})

t.test('a key function that never returns is 503 key_unavailable after 5 s, for every way to verify', async t => {
  const forms: Record<string, (isStuck: () => boolean) => unknown> = {
    promise: isStuck => async () => isStuck() ? await new Promise<never>(() => {}) : secret,
    callback: isStuck => (_request: unknown, _token: unknown, done: Done) => { if (!isStuck()) done(null, secret) }
  }
  t.teardown(() => { mock.timers.reset() })
  for (const [name, form] of Object.entries(forms)) {
    let isStuck = false
    const { app } = await bareApp(t, { key: form(() => isStuck) })
    const tokens = [sign(goodClaims(issuer)), sign(goodClaims(issuer))] as [string, string]
    t.equal((await get(app, '/me', tokens[0])).statusCode, 200, `${name}: the first is remembered`)
    isStuck = true
    // A call that began in this turn of the event loop has a real timer.
    await nextTurn()
    mock.timers.enable({ apis: ['setTimeout'] })
    const answers = tokens.flatMap(token => [get(app, '/me', token), get(app, '/own', token)])
    const checks = tokens.map(token => app.verifyToken(token).then(() => 'accepted', ({ code }) => code))
    let isAnswered = false
    Promise.race([...answers, ...checks]).then(() => { isAnswered = true }, () => {})
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    mock.timers.tick(4_999)
    await nextTurn()
    t.notOk(isAnswered, name)
    mock.timers.tick(1)
    for (const { statusCode, body, headers } of await Promise.all(answers)) {
      t.match([statusCode, JSON.parse(body).code, headers['retry-after']], [503, 'key_unavailable', '1'], name)
    }
    t.same(await Promise.all(checks), ['key_unavailable', 'key_unavailable'], name)
    mock.timers.reset()
    isStuck = false
    for (const token of tokens) t.equal((await get(app, '/me', token)).statusCode, 200, `${name}: the next request`)
  }
})

t.test('a key function is called once for a remembered token whose key is unavailable', async t => {
  let calls = 0
  let isBroken = false
  const { app } = await bareApp(t, {
    key: async () => {
      calls++
      if (isBroken) throw new Error('ECONNREFUSED')
      return secret
    }
  })
  const token = sign(goodClaims(issuer))
  await get(app, '/me', token)
  isBroken = true
  calls = 0
  t.equal((await get(app, '/me', token)).statusCode, 503)
  t.equal(calls, 1)
})

t.test('a key function without such a key is 401 invalid_token, so that no invented kid is a 503', async t => {
  const failWith = (error: unknown) => () => { throw error }
  const answers: Record<string, () => string | undefined> = {
    undefined: () => undefined,
    'an error with statusCode 401': failWith(Object.assign(new Error('no such key'), { statusCode: 401 })),
    'an error with status 401': failWith(Object.assign(new Error('no such key'), { status: 401 })),
    'a code of @fastify/jwt': failWith(
      Object.assign(new Error('no such key'), { code: 'FST_JWT_AUTHORIZATION_TOKEN_INVALID' })
    ),
    'a code of fast-jwt': failWith(Object.assign(new Error('no such key'), { code: 'FAST_JWT_KEY_FETCHING_ERROR' })),
    'an error of signout': failWith(new SignoutError('invalid_token'))
  }
  for (const [name, form] of Object.entries(forms)) {
    for (const [how, find] of Object.entries(answers)) {
      const { app } = await bareApp(t, { key: form(find) })
      for (const url of ['/me', '/own']) {
        const answer = await get(app, url, sign(goodClaims(issuer)))
        t.match([answer.statusCode, answer.json().code], [401, 'invalid_token'], `${name}: ${how}`)
      }
    }
  }
})
