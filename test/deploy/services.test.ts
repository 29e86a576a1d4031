import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { decodeJwt } from 'jose'
import t, { type Test } from 'tap'
import { findFreePort, findPyJwt, isFree } from '../../scripts/services/programs.ts'
import { packageRoot } from '../../src/package-root.ts'
import { build, issuer, serversEnv } from '../support/app.ts'
import { register, signIn, signUp } from '../support/people.ts'
import { addClient } from '../support/oauth.ts'
import { logOut } from '../support/requests.ts'
import { nowSeconds } from '../support/tokens.ts'
import { until } from '../support/wait.ts'
import { ask, type Front } from './ask.ts'
import { startProtectedCaddy, startProtectedNginx } from './proxies.ts'

const examples = join(packageRoot, 'examples', 'services')

/** Starts an example as a process, and waits until it listens. Returns its port. */
async function startExample (
  t: Test, program: string, args: string[], env: Record<string, string> = {}
): Promise<number> {
  const port = await findFreePort()
  const child = spawn(program, args, {
    cwd: examples, env: { PATH: process.env['PATH'], PORT: String(port), ...env }, stdio: ['ignore', 'ignore', 'pipe']
  })
  let errors = ''
  child.stderr.on('data', (data: Buffer) => { errors = (errors + data.toString()).slice(-5_000) })
  const ended = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  await until('the example listens', async () => {
    if (child.exitCode !== null) throw new Error(`${program} has ended: ${errors}`)
    return !await isFree(port)
  }, 60_000)
  return port
}

async function startService (t: Test) {
  const app = await build(t, await serversEnv(t))
  await app.roleAdministration.set('reader', ['articles:read'])
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, port: (app.server.address() as AddressInfo).port }
}

/** Signs in a user who may read articles. */
async function signInReader (app: FastifyInstance): Promise<{ id: string, token: string }> {
  const { id, username } = await register(app)
  await app.userAdministration.setRole(id, 'reader', {})
  return { id, token: (await signIn(app, username)).access_token }
}

const read = (front: Front, token?: string) =>
  ask(front, 'GET /articles', { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })

/** Logs out again and again. No request after the answer may be accepted. */
async function expectNoDelay (t: Test, app: FastifyInstance, front: Front, rounds: number): Promise<void> {
  let accepted = 0
  for (let round = 0; round < rounds; round++) {
    const { id, token } = await signInReader(app)
    const before = await read(front, token)
    t.same([before.status, JSON.parse(before.body)], [200, { user: id }])
    t.equal((await logOut(app, token)).statusCode, 200)
    const after = await Promise.all([read(front, token), read(front, token), read(front, token)])
    accepted += after.filter(({ status }) => status !== 401).length
  }
  t.equal(accepted, 0, `after ${rounds} logouts, no request is accepted`)
}

t.test('a Java service behind nginx and behind Caddy learns of a logout at once', async t => {
  const { app, port } = await startService(t)
  const service = await startExample(t, 'java', ['BehindProxy.java'])
  const behind = { hosts: ['127.0.0.1', '127.0.0.1'], port, service: `127.0.0.1:${service}` }
  for (const start of [startProtectedNginx, startProtectedCaddy]) {
    const front = await start(t, behind)
    await expectNoDelay(t, app, front, 5)
    t.equal((await read(front)).status, 401)
    t.equal((await read(front, (await signUp(app)).token)).status, 403, 'a user of another role')
  }
  t.equal((await read({ address: `http://127.0.0.1:${service}` })).status, 500, 'a request that no proxy has checked')
})

t.test('a Node service that asks by introspection learns of a logout at once', async t => {
  const { app, port } = await startService(t)
  const { id, secret } = await addClient(app)
  const env = { SIGNOUT_URL: `http://127.0.0.1:${port}`, CLIENT_ID: id, CLIENT_SECRET: secret }
  const front = { address: `http://127.0.0.1:${await startExample(t, process.execPath, ['introspection.js'], env)}` }
  await expectNoDelay(t, app, front, 5)
  t.equal((await read(front)).status, 401)
  t.equal((await read(front, 'no.token.this')).status, 401)
  const { token, pair } = await signUp(app)
  t.equal((await read(front, token)).status, 403, 'a user of another role')
  t.equal((await read(front, pair.refresh_token)).status, 401, 'a refresh token is no access token')
  const reader = await signInReader(app)
  await app.close()
  t.equal((await read(front, reader.token)).status, 503, 'signout is down')
})

t.test('a Python service with the JWKS alone accepts a revoked token until it expires', async t => {
  const { app, port } = await startService(t)
  const env = { ISSUER: issuer, SIGNOUT_URL: `http://127.0.0.1:${port}` }
  const front = { address: `http://127.0.0.1:${await startExample(t, findPyJwt() ?? 'python3', ['jwks.py'], env)}` }
  const { id, token } = await signInReader(app)
  const { sid } = decodeJwt<{ sid: string }>(token)
  const validity = { id: crypto.randomUUID(), issuedAt: nowSeconds(), expiresAt: nowSeconds() + 4 }
  const subject = { userId: id, sessionId: sid, scope: 'articles:read', authenticatedAt: new Date() }
  const short = await app.accessTokens.sign(subject, validity)
  t.equal((await logOut(app, token)).statusCode, 200)
  t.equal((await read(front, token)).status, 200, 'this is the limit of this way')
  await until('the other token has expired', async () => (await read(front, short)).status === 401, 30_000)
  t.ok(Date.now() / 1000 >= validity.expiresAt, 'not before its exp')
  t.equal((await read(front)).status, 401)
  t.equal((await read(front, (await signUp(app)).token)).status, 403)
  for (const wrong of [`${token}x`, 'no token', 'a.b.c']) t.equal((await read(front, wrong)).status, 401, wrong)
  const other = await app.accessTokens.sign({ ...subject, scope: 'articles:reader' }, validity)
  t.not((await read(front, other)).status, 200)
})
