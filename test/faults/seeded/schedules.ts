import { setTimeout as sleep } from 'node:timers/promises'
import { randomUUID } from 'node:crypto'
import type { Env } from '../../support/app.ts'
import { projectorWaiting } from '../../support/database.ts'
import { until } from '../../support/wait.ts'
import { answerOf, type Operation } from '../history/operations.ts'
import type { Tokens } from '../history/recorder.ts'
import type { RecordedReplicas } from './recorded-replicas.ts'

/** The steps that make a certain mistake show, in their order. */
export interface Schedule {
  settings?: Env
  run (replicas: RecordedReplicas): Promise<void>
}

/** The advisory lock that src/record/barrier.ts calls the barrier. */
const barrier = 7_366_721
/** An advisory lock of these tests: a commit waits for it. */
const gate = 4_242

export const schedules = {
  'Redis forgets everything': {
    async run (replicas) {
      const leaving = await replicas.signIn()
      confirm(await replicas.logOut(leaving))
      await replicas.redis.admin.flushall()
      await replicas.recover()
      await replicas.use(leaving)
    }
  },
  'Redis forgets everything while Postgres is down': {
    async run (replicas) {
      const leaving = await replicas.signIn()
      confirm(await replicas.logOut(leaving))
      replicas.postgres.stop()
      await replicas.redis.admin.flushall()
      await replicas.use(leaving)
      replicas.postgres.start()
      await replicas.recover()
      await replicas.use(leaving)
    }
  },
  'Redis can be read and not written, and the logout is repeated': {
    // Both logouts wait for it.
    settings: { BLOCKLIST_DEADLINE_MS: '2500' },
    async run (replicas) {
      const leaving = await replicas.signIn()
      await replicas.redis.admin.call('CLIENT', 'PAUSE', 60_000, 'WRITE')
      for (let time = 0; time < 2; time++) {
        await replicas.logOut(leaving)
        await replicas.use(leaving)
      }
      await replicas.redis.admin.client('UNPAUSE')
    }
  },
  'Redis forgets everything, and somebody logs out before the projector comes': {
    async run (replicas) {
      const [first, second] = [await replicas.signIn(), await replicas.signIn()]
      confirm(await replicas.logOut(first))
      // A replica that has died still holds the lease.
      await replicas.sql(
        "update projector_lease set holder = gen_random_uuid(), held_until = clock_timestamp() + interval '1 minute'"
      )
      await sleep(300)
      await replicas.redis.admin.flushall()
      confirm(await replicas.logOutWithRefreshToken(second))
      await replicas.use(first)
      await replicas.sql("update projector_lease set held_until = 'epoch'")
      await replicas.recover()
      await replicas.use(first)
    }
  },
  'a commit takes long, and Redis falls back to what it was meanwhile': {
    async run (replicas) {
      const leaving = await replicas.signIn()
      await closeGate(replicas, 'revocations')
      const loggingOut = replicas.logOut(leaving)
      await untilWaiting(replicas, gate)
      // Its position is given out, and is in the head that is read now. This is the time in which a wrong projector
      // moves the marker there.
      const giveUpAt = performance.now() + 2_500
      while (!await isMarked(replicas) && performance.now() < giveUpAt) await sleep(20)
      // Without the note, as if a Redis replica that ran meanwhile took over: a restarted server is rebuilt in any
      // case.
      const old = await replicas.redis.snapshot([replicas.note])
      await openGate(replicas)
      confirm(await loggingOut)
      await replicas.redis.kill()
      await replicas.redis.start(old)
      await replicas.recover()
      await replicas.use(leaving)
    }
  },
  'Redis forgets everything between two steps of the projector': {
    async run (replicas) {
      const [first, second] = [await replicas.signIn(), await replicas.signIn()]
      confirm(await replicas.logOut(first))
      await until('the marker is there', () => isMarked(replicas))
      // As a third logout does that takes long.
      await replicas.sql('begin')
      await replicas.sql(`select pg_advisory_xact_lock_shared(${barrier})`)
      confirm(await replicas.logOut(second))
      await untilProjectorWaits(replicas)
      await replicas.redis.admin.flushall()
      await replicas.sql('commit')
      await replicas.recover()
      await replicas.use(first)
    }
  },
  'a replica reaches only an old primary of Redis': {
    async run (replicas) {
      const [good, first, second] = [await replicas.signIn(), await replicas.signIn(), await replicas.signIn()]
      await replicas.leaveSecondBehind()
      confirm(await replicas.logOut(first))
      await untilBehind(replicas, good)
      confirm(await replicas.logOut(second))
      await replicas.use(second)
    }
  },
  'a replica reaches only an old primary of Redis, and a commit takes long': {
    async run (replicas) {
      const [good, first, second] = [await replicas.signIn(), await replicas.signIn(), await replicas.signIn()]
      await replicas.leaveSecondBehind()
      confirm(await replicas.logOut(first))
      await untilBehind(replicas, good)
      await closeGate(replicas, 'revocations')
      const loggingOut = replicas.logOut(second)
      await untilWaiting(replicas, gate)
      await replicas.use(good)
      await openGate(replicas)
      confirm(await loggingOut)
      await replicas.use(second)
    }
  },
  'a rebuild of another record has come as far as the marker was': {
    async run (replicas) {
      const [good, first, second] = [await replicas.signIn(), await replicas.signIn(), await replicas.signIn()]
      confirm(await replicas.logOut(first))
      await until('the marker is there', () => isMarked(replicas))
      await replicas.sql(
        "update projector_lease set holder = gen_random_uuid(), held_until = clock_timestamp() + interval '1 minute'"
      )
      const position = (await replicas.redis.admin.get(replicas.marker))?.split(':').at(-1)
      await replicas.redis.admin.flushall()
      await replicas.redis.admin.set(replicas.marker, `draft-${randomUUID()}/${randomUUID()}:${position}`)
      confirm(await replicas.logOutWithRefreshToken(second))
      await replicas.use(good)
      await replicas.use(first)
    }
  },
  'a replica reaches only an old primary of Redis, and Postgres is restored from a backup': {
    async run (replicas) {
      const people = []
      for (let person = 0; person < 5; person++) people.push(await replicas.signIn())
      const [before, leaving, ...others] = people as [Tokens, Tokens, ...Tokens[]]
      confirm(await replicas.logOut(before))
      await until('the marker is there', () => isMarked(replicas))
      await replicas.leaveSecondBehind()
      await until('the old primary is trusted', async () => await replicas.askSecondReadiness() === 'ok')
      await replicas.sql('delete from revocations')
      await replicas.sql('alter sequence revocations_position_seq restart')
      await replicas.sql('update records set marked = 0')
      for (const tokens of [leaving, ...others]) confirm(await replicas.logOut(tokens))
      await until('the marker is found to be behind', async () => await replicas.askSecondReadiness() !== 'ok')
      await replicas.use(leaving)
    }
  },
  'a token is used within the leeway after its expiry': {
    settings: { ACCESS_TOKEN_TTL: '2', CLOCK_LEEWAY: '5' },
    async run (replicas) {
      const leaving = await replicas.signIn()
      confirm(await replicas.logOut(leaving))
      await replicas.use(leaving)
      await sleep(leaving.expiresAt - Date.now() + 300)
      await replicas.use(leaving)
    }
  },
  'the commit of a refresh takes longer than a token lives': {
    settings: { ACCESS_TOKEN_TTL: '2', CLOCK_LEEWAY: '0' },
    async run (replicas) {
      const tokens = await replicas.signIn()
      await closeGate(replicas, 'sessions')
      const refreshing = replicas.refresh(tokens)
      await untilWaiting(replicas, gate)
      await sleep(2_500)
      await openGate(replicas)
      const next = await refreshing
      confirm(await replicas.logOutWithRefreshToken(next))
      await replicas.use(next)
    }
  }
} satisfies Record<string, Schedule>

/** Waits until the second replica asks the record about the answers of its Redis, and accepts a good token. */
async function untilBehind (replicas: RecordedReplicas, good: Tokens): Promise<void> {
  await until('the second replica is behind', async () => await replicas.askSecondReadiness() === 'behind')
  await until('it accepts a good token', async () => (await replicas.use(good)).status === 200)
}

/** Throws unless an operation, on which a schedule relies, was answered 200. */
function confirm (operation: Operation): void {
  if (operation.status !== 200) throw new Error(`${operation.route} got ${answerOf(operation)}.`)
}

/** Returns true if the marker is at the last position that was given out. */
async function isMarked ({ sql, redis, marker }: RecordedReplicas): Promise<boolean> {
  const [head] = await sql('select last_value::text as position from revocations_position_seq where is_called')
  return (await redis.admin.get(marker))?.endsWith(`:${String(head?.['position'])}`) === true
}

/** Makes each transaction that changes this table wait before its commit. */
async function closeGate ({ sql }: RecordedReplicas, table: string): Promise<void> {
  await sql(
    `create or replace function wait_at_gate() returns trigger language plpgsql as 'begin perform pg_advisory_xact_lock_shared(${gate}); return null; end'`
  )
  await sql(
    `create constraint trigger gate after insert or update on ${table} deferrable initially deferred for each row execute function wait_at_gate()`
  )
  await sql(`select pg_advisory_lock(${gate})`)
}

async function openGate ({ sql }: RecordedReplicas): Promise<void> {
  await sql(`select pg_advisory_unlock(${gate})`)
}

/** Waits until a transaction waits in Postgres for that lock. */
async function untilWaiting ({ sql }: RecordedReplicas, lock: number): Promise<void> {
  const waiting =
    `select 1 from pg_locks where locktype = 'advisory' and objid = ${lock} and not granted and database = (select oid from pg_database where datname = current_database())`
  await until(`somebody waits for the lock ${lock}`, async () => (await sql(waiting)).length > 0)
}

/** Waits until the projector waits for a transaction. The lasting transaction of `sql` may be the one. */
async function untilProjectorWaits ({ sql }: RecordedReplicas): Promise<void> {
  await until('the projector waits', async () => {
    await sql('select pg_stat_clear_snapshot()')
    return (await sql(projectorWaiting)).length > 0
  })
}
