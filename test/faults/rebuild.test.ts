import { Redis } from 'ioredis'
import pg from 'pg'
import t from 'tap'
import { build, serversEnv, type Env } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { get, signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { timed, until } from '../support/wait.ts'

const rows = Number(process.env['REBUILD_ROWS'] ?? 100_000)

testFault(t, {
  fault: 'Redis is empty, and there are many revocations to write',
  promise: 'P2',
  get: '503 `revocation_unavailable`, with a `Retry-After` that says how long it will take, and `rebuilding` with its progress at `/health/ready`',
  within: 'at once',
  never: '200 for what was logged out',
  recovers: 'by itself, in at most 15 s for a million'
}, async t => {
  const redis = await ownRedis(t)
  const env: Env = { ...await serversEnv(t), REDIS_URL: redis.url }
  const lines: string[] = []
  const app = await build(t, env, { level: 'info', stream: { write: line => { lines.push(line) } } })
  const ada = await signUp(app, 'ada')
  const postgres = new pg.Client({ connectionString: env['DATABASE_URL'] })
  await postgres.connect()
  await postgres.query(`insert into revocations (scope, id, expires_at, reason, created_at)
    select 'session', gen_random_uuid()::text, now() + interval '1 hour', 'logout', now() from generate_series(1, $1::int)`, [rows])
  await postgres.end()
  const admin = new Redis(redis.url)
  t.teardown(() => { admin.disconnect() })
  await admin.flushall()

  const seen = new Set<string>()
  const { elapsedMs } = await timed(() => until('it is back', async () => {
    const answer = await get(app, '/token', ada.token)
    const ready = await get(app, '/health/ready')
    if (answer.statusCode !== 200) seen.add(`${answer.statusCode} ${String(answer.headers['retry-after'])} ${ready.json().description}`)
    return answer.statusCode === 200
  }, 120_000))
  const made = lines.map(line => JSON.parse(line) as { msg: string, seconds?: number }).findLast(({ msg }) => msg.includes('made again'))
  t.comment(`the replay itself took ${made?.seconds} s; ${rows} rows in ${Math.round(elapsedMs)} ms; ${[...seen].join(' | ')}`)
  t.equal(await admin.dbsize(), rows + 2, 'every revocation, the marker, and the note which server it was')
  t.match([...seen].join(), /rebuilding, \d+ %/)
})
