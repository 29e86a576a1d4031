import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { build, serversEnv, type Env } from './app.ts'
import { signIn, signUp } from './people.ts'
import { proxyTo, type Proxy } from './proxy.ts'
import { onPostgres } from './record.ts'
import { ownRedis, type OwnRedis } from './redis-server.ts'
import { get, logOut, outcome } from './requests.ts'
import type { Owner } from './teardown.ts'
import { until } from './wait.ts'

/** Two replicas of the service with a Redis that may be broken, their logs, and two tokens of a user. */
export interface Replicas {
  a: FastifyInstance
  b: FastifyInstance
  apps: FastifyInstance[]
  /** The name under which the first replica holds the lease of the projector. */
  holderOfA: string
  env: Env
  redis: OwnRedis
  log: string[]
  username: string
  userId: string
  /** A token that stays good. */
  good: string
  /** A token that the test may log out. */
  leaving: string
}

/**
 * Starts two replicas with a Redis of their own.
 *
 * @param envOfB settings of the second replica that differ, such as the address of another Redis, which it takes for
 * the same
 */
export async function startReplicas (t: Test, settings: Env = {}, envOfB: Env = {}): Promise<Replicas> {
  const redis = await ownRedis(t)
  return { redis, ...await startReplicasOn(t, { REDIS_URL: redis.url, ...settings }, envOfB) }
}

/** Starts two replicas with the Redis that the settings name. */
export async function startReplicasOn (t: Test, settings: Env, envOfB: Env = {}): Promise<Omit<Replicas, 'redis'>> {
  const { REDIS_URL: _, ...servers } = await serversEnv(t)
  const env = { RATE_LIMITS: 'off', ...servers, ...settings }
  const log: string[] = []
  const logger = { level: 'info', stream: { write: (line: string) => { log.push(line) } } }
  const a = await build(t, env, logger)
  // The other one may have the lease soon: on a busy machine it is not always renewed in time.
  const [lease] = await onPostgres<{ holder: string }>(env, 'select holder from projector_lease')
  const b = await build(t, { ...env, ...envOfB }, logger)
  const { id, username, token } = await signUp(a)
  const { access_token: leaving } = await signIn(a, username)
  return { a, b, apps: [a, b], holderOfA: String(lease?.holder), env, log, username, userId: id, good: token, leaving }
}

/** Puts a proxy between a replica and one of its servers, and returns the settings with its address. */
export async function proxied (
  t: Owner, env: Env, variable: 'DATABASE_URL' | 'REDIS_URL'
): Promise<{ proxy: Proxy, env: Env }> {
  const url = new URL(String(env[variable]))
  const proxy = await proxyTo(t, url.hostname, Number(url.port || (variable === 'DATABASE_URL' ? 5432 : 6379)))
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  return { proxy, env: { ...env, [variable]: url.href } }
}

/** Sends requests with a token to every replica, again and again. */
interface Asking {
  /** The answers of each replica so far. */
  said: Array<Set<string>>
  stop (): Promise<void>
}

export function keepAsking (apps: FastifyInstance[], token: string): Asking {
  const over = new AbortController()
  const said = apps.map(() => new Set<string>())
  const askers = apps.map(async (app, index) => {
    while (!over.signal.aborted) {
      said[index]?.add(outcome(await get(app, '/token', token)))
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  })
  return {
    said,
    async stop () {
      over.abort()
      await Promise.all(askers)
    }
  }
}

/** Waits until every replica accepts the token. */
export async function untilAccepted (apps: FastifyInstance[], token: string, withinMs = 15_000): Promise<void> {
  for (const app of apps) {
    await until(
      'a good token is accepted again', async () => (await get(app, '/token', token)).statusCode === 200, withinMs
    )
  }
}

/**
 * Asserts that no replica ever accepts a revoked token while something happens. Every replica must notice it, and
 * accept a good token after it.
 */
export async function expectNeverAccepted (
  t: Test,
  { apps, good }: Pick<Replicas, 'apps' | 'good'>,
  revoked: string,
  happen: () => Promise<void>,
  withinMs?: number
): Promise<void> {
  const { said, stop } = keepAsking(apps, revoked)
  try {
    await happen()
    await until('it is noticed', () => said.every(answers => answers.has('503 revocation_unavailable')))
    await untilAccepted(apps, good, withinMs)
  } finally {
    await stop()
    const answers = [...new Set(said.flatMap(answers => [...answers]))].sort()
    t.same(
      answers.filter(answer => !['401 token_revoked', '503 revocation_unavailable'].includes(answer)),
      [],
      `it got ${answers.join(', ')}`
    )
  }
  for (const app of apps) {
    const last = new Set<string>()
    // Two replicas may each find that a shard has to be rebuilt, one after the other.
    await until('it is refused for good', async () =>
      last.add(outcome(await get(app, '/token', revoked))).has('401 token_revoked')
    )
    t.notOk(last.has('200'), [...last].join(', '))
  }
}

/** Logs a token out, which must succeed. */
export async function logOutFor (t: Test, app: FastifyInstance, token: string): Promise<void> {
  const answer = await logOut(app, token)
  t.equal(answer.statusCode, 200, answer.body)
}
