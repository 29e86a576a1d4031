import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { askAgain } from '../package/ask-again.ts'
import { startProgram, type RunningApp } from '../package/example.ts'
import { build, issuer, serversEnv, type Env } from '../support/app.ts'
import { signIn, signUp, signUpAdmin } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { bearer, logOut, send } from '../support/requests.ts'
import { administer, randomName } from '../support/services.ts'
import { onPostgres } from '../support/record.ts'
import { until } from '../support/wait.ts'
import { installExamples } from './installed.ts'

const folderOf = await installExamples(t)

/** Starts two processes of an example. */
async function startTwo (t: Test, name: string, env: Record<string, string>): Promise<RunningApp[]> {
  const options = { folder: folderOf(name), file: 'app.js', env }
  return await Promise.all([startProgram(t, options), startProgram(t, options)])
}

/** Returns the answers of all processes to a request with a token. */
async function askAll (apps: RunningApp[], token: string, method = 'GET', path = '/secret'): Promise<number[]> {
  return await Promise.all(apps.map(async ({ address }) =>
    (await fetch(`${address}${path}`, { method, headers: bearer(token), signal: AbortSignal.timeout(60_000) })).status))
}

/** Logs out at one process, and returns the status. */
async function logOutAt (app: RunningApp, token: string): Promise<number> {
  return await askAgain(async () => Number((await askAll([app], token, 'POST', '/logout'))[0]), true)
}

/** Waits until every process can check a token, and returns the answers. */
async function askUntilChecked (apps: RunningApp[], token: string): Promise<number[]> {
  let answers: number[] = []
  await until('every process can check a token', async () => {
    answers = await askAll(apps, token)
    return !answers.includes(503)
  }, 60_000)
  return answers
}

interface Issuer {
  address: string
  sign (claims: Record<string, unknown>): Promise<string>
}

/** Starts an issuer with a JWKS of one key. */
async function startIssuer (t: Test): Promise<Issuer> {
  const { publicKey, privateKey }: { publicKey: KeyObject, privateKey: KeyObject } = generateKeyPairSync('ed25519')
  const kid = randomUUID()
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'EdDSA', use: 'sig' }] }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    address,
    sign: async claims => await new SignJWT({ iss: address, aud: 'https://api.example', ...claims })
      .setProtectedHeader({ alg: 'EdDSA', kid }).setIssuedAt().setExpirationTime('15m').sign(privateKey)
  }
}

t.test('tenants: a logout counts on both processes, and not for the token of the other issuer', async t => {
  const redis = await ownRedis(t)
  const [acme, globex] = [await startIssuer(t), await startIssuer(t)]
  const stranger = await startIssuer(t)
  const apps = await startTwo(t, 'tenants', {
    REDIS_URL: redis.url, ACME_ISSUER: acme.address, GLOBEX_ISSUER: globex.address
  })
  const [ofAcme, ofGlobex] = [await acme.sign({ jti: '1', sub: 'ada' }), await globex.sign({ uti: '1', oid: 'ada' })]
  t.same(await askUntilChecked(apps, ofAcme), [200, 200])
  t.same(await askUntilChecked(apps, ofGlobex), [200, 200])
  t.same(await askUntilChecked(apps, await stranger.sign({ jti: '2' })), [401, 401], 'another issuer')
  const forged = await stranger.sign({ jti: '2', iss: acme.address })
  t.same(await askUntilChecked(apps, forged), [401, 401], 'a forged issuer')
  t.equal(await logOutAt(apps[0] as RunningApp, ofAcme), 200)
  t.same(await askUntilChecked(apps, ofAcme), [401, 401])
  t.same(await askUntilChecked(apps, ofGlobex), [200, 200], 'it has the same id')
  t.equal(await logOutAt(apps[1] as RunningApp, ofGlobex), 200)
  t.same(await askUntilChecked(apps, ofGlobex), [401, 401])
  redis.pause()
  t.same(await askAll(apps, await acme.sign({ jti: '3' })), [503, 503], 'Redis stalls')
  redis.resume()
})

/** Starts the service, and two processes of the resource server, whose user of Postgres only reads. */
async function startShared (t: Test) {
  const redis = await ownRedis(t)
  const reader = `reader_${randomName()}`
  await administer(`create role ${reader} login`)
  // After its database is gone.
  t.teardown(() => administer(`drop role ${reader}`))
  const env: Env = {
    ...await serversEnv(t),
    REDIS_URL: redis.url,
    BLOCKLIST_PREFIX: 'signout:',
    RATE_LIMITS: 'off'
  }
  const service = await build(t, env)
  await onPostgres(env, `grant select on revocations, revocations_position_seq, records to ${reader}`)
  const database = new URL(String(env['DATABASE_URL']))
  database.username = reader
  const apps = await startTwo(t, 'resource-server', {
    ISSUER: issuer,
    SIGNOUT_URL: await service.listen({ port: 0, host: '127.0.0.1' }),
    DATABASE_URL: database.href,
    REDIS_URL: redis.url
  })
  return { service, redis, apps }
}

t.test('resource server: whatever is revoked at the service is refused, also after Redis was emptied', async t => {
  const { service, redis, apps } = await startShared(t)
  const { username, token: leaving } = await signUp(service)
  const { token: good } = await signUp(service)
  const session = (await signIn(service, username)).access_token
  t.same(await askUntilChecked(apps, leaving), [200, 200])
  t.equal((await logOut(service, leaving)).statusCode, 200)
  t.same(await askUntilChecked(apps, leaving), [401, 401], 'a logout')
  t.same(await askUntilChecked(apps, session), [200, 200])
  t.equal((await send(service, 'POST /logout?scope=all', { token: session })).statusCode, 200)
  t.same(await askUntilChecked(apps, session), [401, 401], 'all sessions of a user')
  await redis.admin.flushall()
  t.same(await askUntilChecked(apps, good), [200, 200], 'no user is signed out')
  t.same(await askUntilChecked(apps, leaving), [401, 401])
  redis.pause()
  t.same(await askAll(apps, good), [503, 503], 'Redis stalls')
  redis.resume()
  t.same(await askUntilChecked(apps, good), [200, 200])
  await expectEveryoneAndKeys(t, service, apps)
})

/** Signs everyone out, and retires a compromised key. */
async function expectEveryoneAndKeys (t: Test, service: FastifyInstance, apps: RunningApp[]): Promise<void> {
  const { token: before } = await signUp(service)
  const admin = await signUpAdmin(service)
  t.same(await askUntilChecked(apps, before), [200, 200])
  const everyone = await send(service, 'POST /revocations', {
    token: admin.token, body: { everyone: true, reason: 'A test.' }
  })
  t.equal(everyone.statusCode, 200, everyone.body)
  t.same(await askUntilChecked(apps, before), [401, 401], 'everyone')
  const { token: after } = await signUp(service)
  t.same(await askUntilChecked(apps, after), [200, 200], 'a later login')
  const { token: byAdmin } = await signUpAdmin(service)
  const [header = ''] = after.split('.')
  const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }
  const retired = await send(service, `POST /keys/${kid}/retire`, {
    token: byAdmin, body: { compromised: true }
  })
  t.equal(retired.statusCode, 200, retired.body)
  t.same(await askUntilChecked(apps, after), [401, 401], 'a compromised key')
  const { token: newer } = await signUp(service)
  t.same(await askUntilChecked(apps, newer), [200, 200], 'the key after it')
}
