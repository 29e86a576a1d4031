import { randomUUID } from 'node:crypto'
import Fastify, { type FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import auth, { createRedisBlocklist, createRedisConnection } from '../../plugins/auth/auth.ts'
import type { RedisBlocklist } from '../../src/revocation/redis-blocklist.ts'
import { get } from './requests.ts'
import { breathe, until } from './wait.ts'

const secret = 'the secret of somebody else\'s app'
export const prefix = 'somebody:'
export const cutOffKey = `${prefix}cut-off`

/** A replica of another app: the plugin and a Redis, without a record. */
export interface PluginReplica {
  app: FastifyInstance
  blocklist: RedisBlocklist
  /** The cut-offs that `onCutOff` was called with. */
  cutOffs: number[]
  /** Issues a token, once tokens issued now are accepted. */
  issue (): Promise<string>
  revoke (token: string): Promise<void>
  /** Returns the status that a request with the token gets. */
  statusOf (token: string): Promise<number>
}

export async function startPluginReplica (t: Test, url: string, leewaySeconds = 0): Promise<PluginReplica> {
  const cutOffs: number[] = []
  const redis = createRedisConnection(url)
  await redis.connect()
  const blocklist = createRedisBlocklist({
    redis, prefix, leewaySeconds, deadlineMs: 5_000, onCutOff: issuedBefore => { cutOffs.push(issuedBefore) }
  })
  const app = Fastify()
  t.teardown(async () => {
    await app.close()
    await blocklist.close()
  })
  await app.register(auth, { blocklist, jwt: { secret, sign: { expiresIn: '15m' }, verify: { cache: true } } })
  app.get('/', { onRequest: app.authenticate }, async () => 'in')
  return {
    app,
    blocklist,
    cutOffs,
    async issue () {
      await until('it is ready', () => blocklist.ready().then(() => true, () => false))
      return app.jwt.sign({ jti: randomUUID(), sub: 'ada' })
    },
    async revoke (token) {
      const { jti, exp } = app.jwt.verify<{ jti: string, exp: number }>(token)
      await app.revoker.revoke([{ scope: 'token', id: jti, expiresAt: exp }])
    },
    statusOf: async token => (await get(app, '/', token)).statusCode
  }
}

/** Runs commands on a Redis, on a connection of its own. */
export async function onRedis<T> (url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url)
  try {
    return await work(redis)
  } finally {
    redis.disconnect()
  }
}

/**
 * Asserts that no replica ever accepts a token that was revoked before, and that all of them accept a token that is
 * issued now.
 */
export async function expectRecovery (t: Test, replicas: PluginReplica[], revoked: string): Promise<void> {
  const statuses = new Set<number>()
  const watch = { isOver: false }
  const watching = (async () => {
    while (!watch.isOver) {
      for (const { statusOf } of replicas) statuses.add(await statusOf(revoked))
      await breathe()
    }
  })()
  const fresh = await (replicas[0] as PluginReplica).issue()
  await until('a token that is issued now is accepted everywhere', async () =>
    (await Promise.all(replicas.map(({ statusOf }) => statusOf(fresh)))).every(status => status === 200)
  )
  watch.isOver = true
  await watching
  for (const { statusOf } of replicas) {
    await until('it is refused', async () => {
      const status = await statusOf(revoked)
      statuses.add(status)
      return status === 401
    })
  }
  t.notOk(statuses.has(200), `the revoked one got ${[...statuses].join(', ')}`)
}
