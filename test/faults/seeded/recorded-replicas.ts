import pg from 'pg'
import { issuer, patient, secret, type Env } from '../../support/app.ts'
import { quickHash } from '../../support/hasher.ts'
import { password } from '../../support/people.ts'
import type { Proxy } from '../../support/proxy.ts'
import { ownRedis, type OwnRedis } from '../../support/redis-server.ts'
import { proxied } from '../../support/replicas.ts'
import { databaseOfTest } from '../../support/services.ts'
import type { Owner } from '../../support/teardown.ts'
import { copyPostgresTemplate } from '../../support/templates.ts'
import { until } from '../../support/wait.ts'
import { answerOf, type Operation } from '../history/operations.ts'
import { createRecorder, type Recorder, type Target, type Tokens } from '../history/recorder.ts'
import { addPerson } from '../history/database.ts'
import type { Service } from './copy.ts'

/**
 * Two replicas, to which a schedule does harm, and a client whose answers are all recorded. The client signs in and out
 * at the first replica, and uses its tokens at the second.
 */
export interface RecordedReplicas {
  recorder: Recorder
  redis: OwnRedis
  postgres: Proxy
  /** The key of the marker in Redis. */
  marker: string
  /** The key of the note. */
  note: string
  /** Runs a statement on the database, past the service and the proxy, on one connection. */
  sql (statement: string): Promise<Array<Record<string, unknown>>>
  signIn (): Promise<Tokens>
  use (tokens: Tokens): Promise<Operation>
  logOut (tokens: Tokens): Promise<Operation>
  /** Logs out with the refresh token, so that Redis is not asked anything first. */
  logOutWithRefreshToken (tokens: Tokens): Promise<Operation>
  refresh (tokens: Tokens): Promise<Tokens>
  /** Waits until both replicas accept a new token. */
  recover (): Promise<void>
  /**
   * Leads the second replica to a copy of Redis, as it is now: an old primary that was replaced. No projector works for
   * a minute.
   */
  leaveSecondBehind (): Promise<void>
  /** Returns the state of the blocklist of the second replica: `ok`, `behind` or `unready`. */
  askSecondReadiness (): Promise<string>
}

/** The settings of both replicas, with deadlines that a busy machine does not miss. */
const patience: Env = { RATE_LIMITS: 'off', ...patient }

export async function startRecordedReplicas (
  t: Owner, { buildApp, loadConfig }: Service, settings: Env
): Promise<RecordedReplicas> {
  const redis = await ownRedis(t)
  const databaseUrl = await databaseOfTest(t, copyPostgresTemplate)
  const { env, proxy: postgres } = await proxied(t, {
    ISSUER: issuer,
    KEY_ENCRYPTION_SECRET: secret,
    DATABASE_URL: databaseUrl,
    REDIS_URL: redis.url,
    BLOCKLIST_PREFIX: 'seeded:',
    ...patience,
    ...settings
  }, 'DATABASE_URL')
  const database = new pg.Client({ connectionString: databaseUrl })
  await database.connect()
  t.teardown(() => database.end())
  const { env: envOfSecond, proxy: redisOfSecond } = await proxied(t, env, 'REDIS_URL')
  const start = async (name: string, env: Env) => {
    const app = buildApp(loadConfig(env), false, { hashCost: quickHash })
    t.teardown(() => app.close())
    return { name, address: await app.listen({ host: '127.0.0.1', port: 0 }) }
  }
  const first = await start('the first replica', env)
  const second = await start('the second replica', envOfSecond)
  const recorder = createRecorder()
  t.teardown(recorder.close)
  const { username } = await addPerson(databaseUrl)
  const signIn = () =>
    recorder.ask(first, { kind: 'sign-in', client: 'ada', route: 'POST /login', body: { username, password } })
  const useAt = async (target: Target, bearer: Tokens) =>
    (await recorder.ask(target, { kind: 'request', client: 'ada', route: 'GET /token', bearer })).operation

  return {
    recorder,
    redis,
    postgres,
    marker: 'seeded:marker',
    note: 'seeded:note',
    sql: async statement => (await database.query<Record<string, unknown>>(statement)).rows,
    async signIn () {
      const { tokens, operation } = await signIn()
      if (tokens === undefined) throw new Error(`To sign in got ${answerOf(operation)}.`)
      return tokens
    },
    use: tokens => useAt(second, tokens),
    logOut: async bearer =>
      (
        await recorder.ask(first, {
          kind: 'ending', client: 'ada', route: 'POST /logout', bearer, ends: [bearer.session]
        })
      ).operation,
    logOutWithRefreshToken: async refresh =>
      (
        await recorder.ask(first, {
          kind: 'ending', client: 'ada', route: 'POST /logout', refresh, ends: [refresh.session]
        })
      ).operation,
    async refresh (refresh) {
      const { tokens, operation } = await recorder.ask(first, {
        kind: 'refresh', client: 'ada', route: 'POST /refresh', refresh, ends: [refresh.session]
      })
      if (tokens === undefined) throw new Error(`To refresh got ${answerOf(operation)}.`)
      return tokens
    },
    async leaveSecondBehind () {
      await database.query(
        "update projector_lease set holder = gen_random_uuid(), held_until = clock_timestamp() + interval '1 minute'"
      )
      const old = await ownRedis(t)
      // Without the note: a real old primary has a note of its own, and this server has just started.
      const snapshot = await redis.snapshot(['seeded:note'])
      await old.kill()
      await old.start(snapshot)
      redisOfSecond.lead(old.port)
    },
    async askSecondReadiness () {
      const answer = await fetch(`${second.address}/health/ready`)
      const body = await answer.json() as { status?: string, blocklist?: string }
      return answer.ok ? body.blocklist ?? 'ok' : 'unready'
    },
    async recover () {
      await until('a new token is accepted', async () => {
        const { tokens } = await signIn()
        return (
          tokens !== undefined &&
          (await useAt(first, tokens)).status === 200 &&
          (await useAt(second, tokens)).status === 200
        )
      }, 20_000, 50)
      recorder.history.recoveries.push(recorder.now())
    }
  }
}
