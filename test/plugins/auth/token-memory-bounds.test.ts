import t, { type Test } from 'tap'
import { build, serversEnv } from '../../support/app.ts'
import { signUp } from '../../support/people.ts'
import { get } from '../../support/requests.ts'
import { goodClaims, nowSeconds } from '../../support/tokens.ts'
import { until } from '../../support/wait.ts'
import { bareApp, issuer, secret, sign, type BareApp, type BareOptions } from './bare-app.ts'

const appWith = (t: Test, verify: object, key: unknown = secret) => bareApp(t, { verify, key })

/** Longer than any test waits before it looks at a token for the first time, also on a busy machine. In seconds. */
const soon = 6
/** Waits for what happens in {@link soon} seconds. */
const untilSoon = (what: string, isSo: () => Promise<boolean>) => until(what, isSo, 30_000, 100)

/** Waits until a token that was refused before its nbf is accepted. */
async function expectAcceptedFromNbf (t: Test, { statusOf }: BareApp): Promise<void> {
  const token = sign({ ...goodClaims(issuer), nbf: nowSeconds() + soon })
  t.equal(await statusOf(token), 401)
  await untilSoon('it is valid', async () => await statusOf(token) === 200)
}

async function expectExpiryDuringWait (t: Test): Promise<void> {
  const waiting: Array<() => void> = []
  let isSlow = false
  const { statusOf, app } = await appWith(t, {}, async () => {
    if (isSlow) await new Promise<void>(resolve => { waiting.push(resolve) })
    return secret
  })
  const exp = nowSeconds() + soon
  const token = sign({ ...goodClaims(issuer), exp })
  t.equal(await statusOf(token), 200)
  // A wait for a key may take five seconds. The token expires in the middle of that.
  await untilSoon('the token expires soon', async () => Date.now() > exp * 1000 - 2_500)
  isSlow = true
  // `verifySignature` has no check of the blocklist, after which the clock is looked at again.
  const checks = [app.verifyToken(token), app.verifySignature(token)]
  const asked = [statusOf(token), ...checks.map(check => check.then(() => 200, ({ statusCode }) => statusCode))]
  await until('all wait for the key', () => waiting.length === 3)
  t.ok(Date.now() < exp * 1000, 'they came in time')
  await untilSoon('the token has expired', async () => Date.now() > exp * 1000)
  isSlow = false
  for (const release of waiting) release()
  t.same(await Promise.all(asked), [401, 401, 401])
}

// They wait for whole seconds, so they run at once.
t.test('tokens whose time comes or has passed', { jobs: 6 }, async t => {
  t.test('a remembered token that expires during the wait for its key is refused', t => expectExpiryDuringWait(t))

  t.test('a remembered token expires like any other', async t => {
    const { statusOf, app } = await appWith(t, { allowedIss: issuer })
    const token = sign({ ...goodClaims(issuer), exp: nowSeconds() + soon })
    t.equal(await statusOf(token), 200)
    await untilSoon('it has expired', async () => await statusOf(token) === 401)
    t.equal((await get(app, '/me', token)).json().code, 'token_expired')
  })

  t.test('a remembered token is refused after maxAge like any other token', async t => {
    const { users, statusOf } = await appWith(t, { maxAge: soon })
    const token = sign({ ...goodClaims(issuer), iat: nowSeconds() - 1 })
    t.same([await statusOf(token), await statusOf(token)], [200, 200])
    t.equal(users[0], users[1], 'it is remembered')
    await untilSoon('it is too old', async () => await statusOf(token) === 401)
  })

  // With a matcher that may change its result, the cache of the verifier is used.
  for (const [name, verify] of Object.entries({
    'the memory of the plugin': { cache: true },
    'the memory of the verifier': { cache: true, allowedIss: { test: () => true } }
  })) {
    t.test(`the refusal of a token before its nbf is not remembered, in ${name}`, async t => {
      await expectAcceptedFromNbf(t, await appWith(t, verify))
    })
  }

  t.test('a token that was refused before its nbf is accepted after it, with the cache of the verifier too', async t => {
    const jwt: BareOptions['jwt'] = {
      cookie: { cookieName: 'token', signed: false }, verify: { algorithms: ['HS256'], cache: true }
    }
    await expectAcceptedFromNbf(t, await bareApp(t, { jwt }))
  })
})

t.test('a token is remembered for no longer than cacheTTL', async t => {
  const { users, statusOf } = await appWith(t, { cacheTTL: 400 })
  const token = sign(goodClaims(issuer))
  await until('it is verified again', async () => await statusOf(token) === 200 && users.at(-1) !== users[0])
  t.same(users.at(-1), users[0])
})

t.test('a token before its nbf is accepted and remembered with ignoreNotBefore', async t => {
  const token = sign({ ...goodClaims(issuer), nbf: nowSeconds() + 60 })
  const { users, statusOf } = await appWith(t, { ignoreNotBefore: true })
  t.same([await statusOf(token), await statusOf(token)], [200, 200])
  t.equal(users[0], users[1])
})

t.test('a token is not remembered if a later verification may have another result', async t => {
  let isAllowed = true
  const sometimes = { test: () => isAllowed }
  for (const verify of [
    { allowedIss: sometimes },
    { allowedIss: ['another', sometimes] },
    { allowedIss: /issuer/g }
  ]) {
    const { users, statusOf } = await appWith(t, verify)
    const token = sign(goodClaims(issuer))
    await statusOf(token)
    await statusOf(token)
    t.not(users[0], users[1], JSON.stringify(verify))
  }
  const { statusOf } = await appWith(t, { allowedIss: sometimes })
  const token = sign(goodClaims(issuer))
  t.equal(await statusOf(token), 200)
  isAllowed = false
  t.equal(await statusOf(token), 401)
})

t.test('no more tokens are remembered than jwt.verify.cache says, and the last ones are', async t => {
  const { users, statusOf } = await appWith(t, { cache: 2 })
  const [first, second, third] = Array.from({ length: 3 }, () => sign(goodClaims(issuer))) as [string, string, string]
  for (const token of [first, second, third, third, second, first]) t.equal(await statusOf(token), 200)
  t.equal(users[3], users[2])
  t.equal(users[4], users[1])
  t.not(users[5], users[0], 'the first token was verified again')
})

t.test('a jwt.verify.cache that is not true, false or a whole number from 0 is refused', async t => {
  for (const cache of [Infinity, NaN, -1, 1.5]) {
    await t.rejects(appWith(t, { cache }), {
      name: 'TypeError',
      message: /jwt\.verify\.cache must be true, false, or how many/
    })
  }
})

/** Matches any issuer, and counts how often a token was verified. The verifier matches the claims of each one. */
function countingIssuer () {
  const counted = { verifications: 0 }
  const test = () => {
    counted.verifications++
    return true
  }
  return { allowedIss: Object.assign(/^/, { test }), counted }
}

t.test('a remembered token is verified again when its key has another form, and then remembered with it', async t => {
  const { allowedIss, counted } = countingIssuer()
  let key: string | Buffer = secret
  const { app, statusOf } = await appWith(t, { allowedIss }, () => key)
  const token = sign(goodClaims(issuer))
  for (const [form, verifications] of [[secret, 1], [Buffer.from(secret), 2], [secret, 3]] as const) {
    key = form
    t.same([await statusOf(token), await statusOf(token)], [200, 200])
    t.match(await app.verifyToken(token), { iss: issuer })
    t.equal(counted.verifications, verifications)
  }
})

t.test('app.verifyToken, app.verifySignature and app.authenticate share remembered tokens', async t => {
  const { allowedIss, counted } = countingIssuer()
  const { app, users, statusOf } = await appWith(t, { allowedIss }, async () => secret)
  const token = sign(goodClaims(issuer))
  const verified = await app.verifySignature(token)
  t.equal(await app.verifyToken(token), verified)
  t.equal(await statusOf(token), 200)
  t.equal(users[0], verified)
  t.equal(counted.verifications, 1)
})

t.test('a key function cannot change its token argument for the next request', async t => {
  const seen: unknown[] = []
  const { statusOf } = await appWith(t, {}, async (_request: unknown, token: { header?: object }) => {
    seen.push(token)
    return secret
  })
  const token = sign(goodClaims(issuer))
  for (let use = 0; use < 2; use++) t.equal(await statusOf(token), 200)
  t.ok(Object.isFrozen(seen.at(-1)))
})

t.test('the service refuses a remembered token of a key that is no longer in its key ring', async t => {
  const app = await build(t, await serversEnv(t))
  const { token } = await signUp(app)
  for (let use = 0; use < 2; use++) t.equal((await get(app, '/token', token)).statusCode, 200)
  const { find } = app.keyRing
  app.keyRing.find = () => undefined
  t.equal((await get(app, '/token', token)).json().error, 'invalid_token')
  app.keyRing.find = find
  t.equal((await get(app, '/token', token)).statusCode, 200)
})

t.test('a token is verified with the present bytes of a key, even if they have changed in the same buffer', async t => {
  const key = Buffer.from(secret)
  const { statusOf } = await appWith(t, {}, () => key)
  const token = sign(goodClaims(issuer))
  for (let use = 0; use < 2; use++) t.equal(await statusOf(token), 200)
  key.fill('x')
  t.equal(await statusOf(token), 401, 'a remembered token')
  t.equal(await statusOf(sign(goodClaims(issuer))), 401)
  t.equal(await statusOf(sign(goodClaims(issuer), 'x'.repeat(key.length))), 200)
})
