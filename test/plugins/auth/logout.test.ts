import t, { type Test } from 'tap'
import {
  createMemoryBlocklist, createRedisBlocklist, createRedisConnection, type Blocklist
} from '../../../plugins/auth/auth.ts'
import { createTestBlocklist } from '../../../plugins/auth/testing.ts'
import { everyoneRevocation, keyRevocation } from '../../../src/entries/revocation.ts'
import { bearer, get, send } from '../../support/requests.ts'
import { redisUrl, scratchPrefix } from '../../support/services.ts'
import { nowSeconds } from '../../support/tokens.ts'
import { bareApp, sign, type BareOptions } from './bare-app.ts'

const lifetimeSeconds = 900

async function redisBlocklist (t: Test): Promise<Blocklist> {
  const redis = createRedisConnection(redisUrl())
  await redis.connect()
  const blocklist = createRedisBlocklist({
    redis, prefix: scratchPrefix(t), leewaySeconds: 0, deadlineMs: 5_000, maxTokenLifetimeSeconds: lifetimeSeconds
  })
  t.teardown(() => blocklist.close())
  await blocklist.ready()
  return blocklist
}

const blocklists: Record<string, (t: Test) => Promise<Blocklist>> = {
  memory: async () => createMemoryBlocklist({ deadlineMs: 5_000, leewaySeconds: 0 }),
  Redis: redisBlocklist
}

/** An app with `POST /logout`, and the same without a hook that authenticates, and one for optional users. */
async function appWithLogout (t: Test, options: BareOptions) {
  const bare = await bareApp(t, { jwt: { sign: { expiresIn: lifetimeSeconds } }, ...options })
  const { app } = bare
  const logOut = async (request: { logout: () => Promise<void> }) => { await request.logout() }
  app.post('/logout', { onRequest: app.authenticate }, logOut)
  app.post('/own-logout', { onRequest: async request => { await request.jwtVerify() } }, logOut)
  app.post('/unguarded', logOut)
  return { ...bare, statusOf: async (token: string) => (await get(app, '/me', token)).statusCode }
}

for (const [name, open] of Object.entries(blocklists)) {
  t.test(`request.logout() revokes the token of the request and its whole session, in ${name}`, async t => {
    const { app, statusOf } = await appWithLogout(t, { blocklist: await open(t) })
    for (const url of ['/logout', '/own-logout']) {
      const sid = `the session of ${url}`
      const [token, second] = [await app.issueToken({ sub: 'ada', sid }), await app.issueToken({ sub: 'ada', sid })]
      const other = await app.issueToken({ sub: 'ada' })
      for (const one of [token, second, other]) t.equal(await statusOf(one), 200)
      const answer = await send(app, `POST ${url}` as 'POST /', { headers: bearer(token) })
      t.equal(answer.statusCode, 200, answer.body)
      t.same([await statusOf(token), await statusOf(second), await statusOf(other)], [401, 401, 200], url)
    }
  })

  t.test(`app.revoke and app.revokeSession need no request, in ${name}`, async t => {
    const { app, statusOf } = await appWithLogout(t, { blocklist: await open(t) })
    const [token, second] = [await app.issueToken({ sid: 'one' }), await app.issueToken({ sid: 'two' })]
    const claims = { iat: nowSeconds() + 1, exp: nowSeconds() + 60, jti: 'without a session' }
    await app.revoke(await app.verifyToken(token))
    await app.revokeSession('two', nowSeconds() + lifetimeSeconds)
    await app.revoke(claims)
    t.same([await statusOf(token), await statusOf(second)], [401, 401])
    t.equal(await statusOf(sign({ ...claims, iat: nowSeconds() })), 401)
    t.equal(await statusOf(await app.issueToken({})), 200)
  })
}

t.test('the session of a logout is refused until its youngest token has expired', async t => {
  const given: unknown[] = []
  const memory = createMemoryBlocklist({ leewaySeconds: 5 })
  const revoke: Blocklist['revoke'] = async list => { given.push(...list) }
  const { app } = await appWithLogout(t, { blocklist: { ...memory, revoke } })
  const [iat, exp] = [nowSeconds() - 600, nowSeconds() + 300]
  const session = async (claims: object, options?: object) => {
    given.length = 0
    await app.revoke({ jti: 'a', sid: 's', exp, ...claims }, options)
    return (given as Array<{ expiresAt: number }>)[1]?.expiresAt ?? 0
  }
  const askedAt = nowSeconds()
  const youngest = await session({ iat })
  // A token of this lifetime may have been issued just now, by a clock that is ahead.
  t.ok(youngest >= askedAt + 900 + 8 && youngest <= nowSeconds() + 900 + 12, String(youngest - nowSeconds()))
  t.ok(await session({}) >= exp)
  t.equal(await session({ iat }, { until: exp + 7 }), exp + 7)
})

t.test('request.logout() refuses a request that was not authenticated, with a sentence', async t => {
  const { app } = await appWithLogout(t, {})
  for (const token of [undefined, await app.issueToken({})]) {
    const answer = await send(app, 'POST /unguarded', { token })
    t.equal(answer.statusCode, 401)
    t.match(answer.json(), { code: 'authorization_required', message: /add app.authenticate to the onRequest hooks/ })
  }
})

t.test('a logout that is not confirmed is 503 with Retry-After, and can be repeated (P4)', async t => {
  const blocklist = createTestBlocklist()
  const { app, statusOf } = await appWithLogout(t, { blocklist })
  app.post('/out/:sid', async request => {
    await app.revokeSession((request.params as { sid: string }).sid, nowSeconds() + 60)
  })
  const token = await app.issueToken({})
  t.equal(await statusOf(token), 200)
  for (const fault of [blocklist.stall, blocklist.lose]) {
    fault()
    for (const url of ['/logout', '/own-logout', '/out/a']) {
      const { statusCode, headers } = await send(app, `POST ${url}` as 'POST /', { token })
      t.match([statusCode, headers['retry-after']], [503, '1'], url)
    }
    await t.rejects(app.revoke(app.jwt.decode(token) as never), { code: 'revocation_unavailable' })
    blocklist.recover()
  }
  t.equal((await send(app, 'POST /logout', { token })).statusCode, 200)
  t.equal(await statusOf(token), 401)
})

t.test('what would revoke nothing is a TypeError that says what is wrong', async t => {
  const { app } = await appWithLogout(t, {})
  const exp = nowSeconds() + 60
  const cases: Array<[call: () => Promise<void>, message: RegExp]> = [
    [() => app.revoke(undefined as never), /takes the claims of a token.* and was given undefined/],
    [() => app.revoke([{ jti: 'a', exp }] as never), /was given a list/],
    [() => app.revoke({ exp }), /claims\.jti is undefined/],
    [() => app.revoke({ jti: '', exp }), /claims\.jti is ""/],
    [() => app.revoke({ jti: 'a', exp, sid: '' }), /claims\.sid is ""/],
    [() => app.revoke({ jti: 'a' } as never), /claims\.exp is undefined; it must be an instant in seconds/],
    [() => app.revoke({ jti: 'a', exp: Date.now() }), /claims\.exp is \d{13}.*milliseconds: divide it by 1000/],
    [() => app.revoke({ jti: 'a', exp }, { until: 900 }), /until is 900.*a duration: add it to the present/],
    [() => app.revokeSession('', exp), /sid is ""/],
    [() => app.revokeSession('s', undefined as never), /until is undefined/],
    [() => app.revokeSession('s', Date.now() + 60_000), /until is \d{13}.*milliseconds/],
    [() => app.revokeSession('s', nowSeconds() - 10), /until is \d+, which has passed/],
    [() => app.revokeSession('s', 3600), /duration/],
    [() => app.revokeSubject('ada'), /maxTokenLifetimeSeconds/],
    [() => app.revoker.revoke([]), /empty list/],
    [() => app.revoker.revoke([keyRevocation('k')]), /scope is "key"; it must be 'token' or 'session'/],
    [() => app.revoker.revoke([everyoneRevocation(1)]), /scope is "everyone".* use app.revokeSubject/],
    [() => app.revoker.revoke([{ scope: 'token', id: 'a', expiresAt: 900 }]), /duration/]
  ]
  for (const [call, message] of cases) await t.rejects(call, { name: 'TypeError', message })
})

t.test('app.issueToken signs with jti, sid, iat and exp, and refuses a token that could not be revoked', async t => {
  const { app } = await bareApp(t, { jwt: { sign: { expiresIn: '10m', noTimestamp: true } } as never })
  const claims = app.jwt.decode<Record<string, number>>(await app.issueToken({ sub: 'ada', jti: undefined as never }))
  t.match(claims, { jti: /-/, sid: /-/, sub: 'ada' })
  t.equal(Number(claims?.['exp']) - Number(claims?.['iat']), 600)
  const { app: endless } = await bareApp(t)
  await t.rejects(endless.issueToken({ sub: 'ada' }), { name: 'TypeError', message: /needs the lifetime of the token/ })
})

t.test('a blocklist in Redis without a record refuses revocations that no look-up asks for (P4)', async t => {
  const blocklist = await redisBlocklist(t)
  for (const revocation of [keyRevocation('k'), everyoneRevocation(1)]) {
    await t.rejects(blocklist.revoke([revocation]), { name: 'TypeError', message: /knows 'token' and 'session'/ })
  }
})
