import t from 'tap'
import { createRedisBlocklist, createRedisConnection } from '../../../plugins/auth/auth.ts'
import { createTestBlocklist, createTestTokens, type TestTokensOptions } from '../../../plugins/auth/testing.ts'
import { createMemoryBlocklist } from '../../../src/revocation/memory-blocklist.ts'
import { ownRedis } from '../../support/redis-server.ts'
import { get } from '../../support/requests.ts'
import { goodClaims, issuedLately, nowSeconds } from '../../support/tokens.ts'
import { bareApp, issuer, secret, sign } from './bare-app.ts'

t.test('a misspelt option of createRedisConnection and of the helpers for tests is refused by its name', async t => {
  const cases: Array<[work: () => unknown, message: RegExp]> = [
    [() => createRedisConnection('redis://127.0.0.1', { onlost: 5 } as object), /The option onlost is not known/],
    [() => createTestBlocklist({ deadline: 5 } as object), /The option deadline is not known/],
    [() => createTestTokens({ secret, lifetime: 5 } as TestTokensOptions), /The option lifetime is not known/],
    [() => createTestTokens(undefined as unknown as TestTokensOptions), /takes its options as an object.* undefined/]
  ]
  for (const [work, message] of cases) t.throws(work, { name: 'TypeError', message })
})

t.test('an option of jwt that @fastify/jwt would ignore is refused, with its right place', async t => {
  const blocklist = createMemoryBlocklist()
  for (const [jwt, message] of [
    [{ expiresIn: '15m' }, /option jwt\.expiresIn would change nothing: give jwt\.sign\.expiresIn/],
    [{ allowedIss: issuer }, /give jwt\.verify\.allowedIss/],
    [{ verify: { issuer } }, /option jwt\.verify\.issuer would change nothing: give jwt\.verify\.allowedIss/],
    [{ verify: { audience: 'a' } }, /give jwt\.verify\.allowedAud/],
    [{ sign: { issuer } }, /give jwt\.sign\.iss\./]
  ] as const) {
    const options = { jwt: { secret, ...jwt as object } }
    await t.rejects(bareApp(t, { blocklist, options }), { name: 'TypeError', message })
  }
  const jwt = { secret, messages: {}, verify: { allowedIss: issuer } }
  await t.resolves(bareApp(t, { blocklist, options: { jwt } }))
})

t.test('a token without an iat is refused by the blocklist for tests, as by Redis without a record', async t => {
  const { app } = await bareApp(t, { blocklist: createTestBlocklist() })
  t.equal((await get(app, '/me', sign({ ...goodClaims(issuer), iat: undefined }))).statusCode, 401)
  t.equal((await get(app, '/me', sign(goodClaims(issuer)))).statusCode, 200)
})

t.test('two blocklists can have one connection: closing one leaves the other open', async t => {
  const server = await ownRedis(t)
  const redis = createRedisConnection(server.url)
  await redis.connect()
  const settings = { redis, leewaySeconds: 0, deadlineMs: 5_000 }
  const [one, other] = [{ ...settings, prefix: 'one:' }, { ...settings, prefix: 'other:' }].map(createRedisBlocklist)
  if (one === undefined || other === undefined) throw new Error('There are two.')
  t.teardown(() => other.close())
  await Promise.all([one.ready(), other.ready()])
  await one.revoke([{ scope: 'token', id: 'a', expiresAt: nowSeconds() + 60 }])
  t.same([await one.isRevoked(issuedLately('a')), await other.isRevoked(issuedLately('a'))], [true, false])
  await one.close()
  await other.revoke([{ scope: 'token', id: 'a', expiresAt: nowSeconds() + 60 }])
  t.equal(await other.isRevoked(issuedLately('a')), true)
})
