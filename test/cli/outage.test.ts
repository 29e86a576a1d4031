import { decodeJwt } from 'jose'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { describeUrl } from '../../src/input/describe-url.ts'
import { build, patient, serversEnv, type Env } from '../support/app.ts'
import { asProcess, fail, signout, succeed, type Commands } from '../support/cli.ts'
import { signIn, signUp } from '../support/people.ts'
import { proxyTo } from '../support/proxy.ts'
import { onPostgres } from '../support/record.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, outcome } from '../support/requests.ts'
import { until } from '../support/wait.ts'

const inProcess: Commands = { signout, succeed, fail }

/** Returns settings for commands, some of which wait for a Redis that stalls. Postgres never stalls here. */
const commandsEnv = async (t: Test): Promise<Env> => ({ ...await serversEnv(t), BLOCKLIST_DEADLINE_MS: '250' })

const onRecord =
  'The revocation is recorded, and takes effect automatically when Redis returns. You can safely repeat the command.'

const recorded = async (env: Env, id: string) =>
  (await onPostgres(env, 'select scope from revocations where id = $1', [id])).length

type ToArgs = (claims: { sid: string, jti: string, sub: string }) => string[]
/** How a command is run, its `REDIS_URL`, and its arguments. */
type Case = [Commands, string, ToArgs]

/**
 * Runs a command that cannot reach Redis. Expects its revocation in the record, and in effect at a service that reaches
 * Redis. Returns the token.
 */
async function expectRecorded (
  t: Test, service: FastifyInstance, env: Env, [run, awayUrl, toArgs]: Case
): Promise<string> {
  const { username } = await signUp(service)
  const { access_token: token } = await signIn(service, username)
  const claims = decodeJwt(token) as { sid: string, jti: string, sub: string }
  const args = toArgs(claims)
  const line = await run.fail(t, 3, args, { env: { ...env, REDIS_URL: awayUrl }, input: 'another long password\n' })
  t.ok(line.startsWith(`${onRecord} REDIS_URL: cannot connect to redis://127.0.0.1:`), line)
  t.match(line, /\. Start Redis there, .*correct REDIS_URL\b.*\.$/)
  t.notMatch(line, 'hush')
  t.equal(await recorded(env, args.includes('--token') ? claims.jti : claims.sid), 1, 'it is on record')
  await until(
    'the service that runs refuses it',
    async () => outcome(await get(service, '/token', token)) === '401 token_revoked',
    30_000
  )
  return token
}

t.test('a revocation by a command that cannot reach Redis is recorded, and applied by the service', async t => {
  const env = await commandsEnv(t)
  const redis = await ownRedis(t)
  const stalled = await proxyTo(t, '127.0.0.1', redis.port)
  stalled.stall()
  const service = await build(t, { ...env, ...patient })
  const cases: Case[] = [
    [inProcess, 'redis://:hush@127.0.0.1:1', ({ sid }) => ['revoke', '--session', sid]],
    [inProcess, 'redis://127.0.0.1:1', ({ jti }) => ['revoke', '--token', jti]],
    ...[['disable'], ['promote'], ['set-password'], ['delete', '--yes']].map(([act = '', ...options]): Case => (
      [inProcess, 'redis://127.0.0.1:1', ({ sub }) => ['user', act, sub, ...options]]
    )),
    [asProcess, `redis://127.0.0.1:${stalled.port}`, ({ sub }) => ['revoke', '--user', sub]]
  ]
  const tokens: string[] = []
  for (const command of cases) tokens.push(await expectRecorded(t, service, env, command))
  const started = await build(t, { ...env, ...patient })
  for (const token of tokens) {
    t.equal(outcome(await get(started, '/token', token)), '401 token_revoked', 'and a service that starts refuses it')
  }
})

/** Starts a service on a Redis of its own, with a user who is signed in. */
async function startWithOwnRedis (t: Test) {
  const redis = await ownRedis(t)
  const env = { ...await commandsEnv(t), REDIS_URL: redis.url }
  const service = await build(t, { ...env, ...patient })
  const { token } = await signUp(service)
  const { sid } = decodeJwt(token) as { sid: string }
  return { redis, env, service, token, sid }
}

t.test('while Redis is down, commands that end nothing work, and a revocation is applied later', async t => {
  const { redis, env, service, token, sid } = await startWithOwnRedis(t)
  await redis.kill()
  const line = await asProcess.fail(t, 3, ['revoke', '--session', sid], { env })
  t.ok(line.startsWith(`${onRecord} REDIS_URL: cannot connect to ${redis.url} (`), line)
  t.equal(await recorded(env, sid), 1)
  const { sub } = decodeJwt(token) as { sub: string }
  for (const args of [
    ['user', 'list'], ['user', 'show', sub], ['sessions', 'list', sub], ['keys', 'list'],
    ['role', 'list'], ['client', 'list'], ['revoke', '--user', sub, '--dry-run'], ['user', 'create', 'grace']
  ]) {
    await succeed(t, args, { env, input: 'another long password\n' })
  }
  await redis.start()
  await until('it is refused', async () => outcome(await get(service, '/token', token)) === '401 token_revoked', 30_000)
})

t.test('a revocation by command that Redis does not confirm is recorded, and applied once Redis writes', async t => {
  const { redis, env, service, token, sid } = await startWithOwnRedis(t)
  await redis.admin.call('CLIENT', 'PAUSE', '600000', 'WRITE')
  const line = await fail(t, 3, ['revoke', '--session', sid], { env })
  t.ok(
    line.startsWith(
      `${onRecord} REDIS_URL: the Redis at ${describeUrl(redis.url)} cannot be checked (`
    ),
    line
  )
  t.equal(await recorded(env, sid), 1)
  await redis.admin.call('CLIENT', 'UNPAUSE')
  await until('it is refused', async () => outcome(await get(service, '/token', token)) === '401 token_revoked', 30_000)
})

t.test('a command revokes nothing if REDIS_URL has an unknown host, a wrong number or no password', async t => {
  const redis = await ownRedis(t)
  const env = await commandsEnv(t)
  const service = await build(t, { ...env, ...patient })
  const { username, token } = await signUp(service)
  const { sid } = decodeJwt(token) as { sid: string }
  t.match(
    await fail(t, 1, ['user', 'disable', username], { env: { ...env, REDIS_URL: 'redis://nowhere.invalid' } }),
    /^REDIS_URL: cannot connect/
  )
  t.match(
    await fail(t, 1, ['revoke', '--session', sid], { env: { ...env, REDIS_URL: `${redis.url}/9999` } }),
    /^REDIS_URL: cannot connect .*DB index is out of range/
  )
  await redis.admin.config('SET', 'requirepass', 'hush')
  t.match(
    await fail(t, 1, ['revoke', '--session', sid], { env: { ...env, REDIS_URL: redis.url } }),
    /^REDIS_URL: cannot connect .*NOAUTH/
  )
  t.same(await onPostgres(env, 'select scope from revocations'), [])
  t.equal(outcome(await get(service, '/token', token)), '200')
  t.ok(await signIn(service, username), 'the user is not disabled')
})
