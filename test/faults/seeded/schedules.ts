import { setTimeout as sleep } from 'node:timers/promises'
import { randomUUID } from 'node:crypto'
import type { Env } from '../../support/app.ts'
import { until } from '../../support/wait.ts'
import { answerOf, type Operation } from '../history/operations.ts'
import type { Tokens } from '../history/recorder.ts'
import type { Stage } from './stage.ts'

/** The steps that make a certain mistake show, in their order. */
export interface Schedule {
  settings?: Env
  run (stage: Stage): Promise<void>
}

/** The advisory lock that src/record/record.ts calls the barrier. */
const barrier = 7_366_721
/** An advisory lock of these tests: a commit waits for it. */
const gate = 4_242

export const schedules = {
  'Redis forgets everything': {
    async run (stage) {
      const leaving = await stage.signIn()
      confirm(await stage.logOut(leaving))
      await stage.redis.admin.flushall()
      await stage.recover()
      await stage.use(leaving)
    }
  },
  'Redis forgets everything while Postgres is down': {
    async run (stage) {
      const leaving = await stage.signIn()
      confirm(await stage.logOut(leaving))
      stage.postgres.stop()
      await stage.redis.admin.flushall()
      await stage.use(leaving)
      stage.postgres.start()
      await stage.recover()
      await stage.use(leaving)
    }
  },
  'Redis can be read and not written, and the logout is repeated': {
    async run (stage) {
      const leaving = await stage.signIn()
      await stage.redis.admin.call('CLIENT', 'PAUSE', 30_000, 'WRITE')
      for (let time = 0; time < 2; time++) {
        await stage.logOut(leaving)
        await stage.use(leaving)
      }
      await stage.redis.admin.client('UNPAUSE')
    }
  },
  'Redis forgets everything, and somebody logs out before the projector comes': {
    async run (stage) {
      const [first, second] = [await stage.signIn(), await stage.signIn()]
      confirm(await stage.logOut(first))
      // A replica that has died still holds the lease.
      await stage.sql(
        "update revocation_tail set holder = gen_random_uuid(), held_until = clock_timestamp() + interval '1 minute'"
      )
      await sleep(300)
      await stage.redis.admin.flushall()
      confirm(await stage.logOutWithRefreshToken(second))
      await stage.use(first)
      await stage.sql("update revocation_tail set held_until = 'epoch'")
      await stage.recover()
      await stage.use(first)
    }
  },
  'a commit takes long, and Redis falls back to what it was meanwhile': {
    async run (stage) {
      const leaving = await stage.signIn()
      await closeGate(stage, 'revocations')
      const loggingOut = stage.logOut(leaving)
      await untilWaiting(stage, gate)
      // Its position is given out, and is in the head that is read now. This is the time in which a wrong projector
      // moves the marker there.
      const giveUpAt = performance.now() + 2_500
      while (!await isMarked(stage) && performance.now() < giveUpAt) await sleep(20)
      // Without the note, as if a Redis replica that ran meanwhile took over: a restarted server is rebuilt in any
      // case.
      const old = await stage.redis.snapshot([stage.note])
      await openGate(stage)
      confirm(await loggingOut)
      await stage.redis.kill()
      await stage.redis.start(old)
      await stage.recover()
      await stage.use(leaving)
    }
  },
  'Redis forgets everything between two steps of the projector': {
    async run (stage) {
      const [first, second] = [await stage.signIn(), await stage.signIn()]
      confirm(await stage.logOut(first))
      await until('the marker is there', () => isMarked(stage))
      // As a third logout does that takes long.
      await stage.sql(`select pg_advisory_lock_shared(${barrier})`)
      confirm(await stage.logOut(second))
      await untilWaiting(stage, barrier)
      await stage.redis.admin.flushall()
      await stage.sql(`select pg_advisory_unlock_shared(${barrier})`)
      await stage.recover()
      await stage.use(first)
    }
  },
  'a replica reaches only an old primary of Redis': {
    async run (stage) {
      const [good, first, second] = [await stage.signIn(), await stage.signIn(), await stage.signIn()]
      await stage.leaveSecondBehind()
      confirm(await stage.logOut(first))
      await untilBehind(stage, good)
      confirm(await stage.logOut(second))
      await stage.use(second)
    }
  },
  'a replica reaches only an old primary of Redis, and a commit takes long': {
    async run (stage) {
      const [good, first, second] = [await stage.signIn(), await stage.signIn(), await stage.signIn()]
      await stage.leaveSecondBehind()
      confirm(await stage.logOut(first))
      await untilBehind(stage, good)
      await closeGate(stage, 'revocations')
      const loggingOut = stage.logOut(second)
      await untilWaiting(stage, gate)
      await stage.use(good)
      await openGate(stage)
      confirm(await loggingOut)
      await stage.use(second)
    }
  },
  'a rebuild of another record has come as far as the marker was': {
    async run (stage) {
      const [good, first, second] = [await stage.signIn(), await stage.signIn(), await stage.signIn()]
      confirm(await stage.logOut(first))
      await until('the marker is there', () => isMarked(stage))
      await stage.sql(
        "update revocation_tail set holder = gen_random_uuid(), held_until = clock_timestamp() + interval '1 minute'"
      )
      const position = (await stage.redis.admin.get(stage.marker))?.split(':')[1]
      await stage.redis.admin.flushall()
      await stage.redis.admin.set(stage.marker, `draft-${randomUUID()}/${randomUUID()}:${position}`)
      confirm(await stage.logOutWithRefreshToken(second))
      await stage.use(good)
      await stage.use(first)
    }
  },
  'a replica reaches only an old primary of Redis, and Postgres is restored from a backup': {
    async run (stage) {
      const people = []
      for (let person = 0; person < 5; person++) people.push(await stage.signIn())
      const [before, leaving, ...others] = people as [Tokens, Tokens, ...Tokens[]]
      confirm(await stage.logOut(before))
      await until('the marker is there', () => isMarked(stage))
      await stage.leaveSecondBehind()
      await until('the old primary is trusted', async () => await stage.askSecondReadiness() === 'ok')
      await stage.sql('delete from revocations')
      await stage.sql('alter sequence revocations_position_seq restart')
      await stage.sql('update revocation_logs set marked = 0')
      for (const tokens of [leaving, ...others]) confirm(await stage.logOut(tokens))
      await until('the marker is found to be behind', async () => await stage.askSecondReadiness() !== 'ok')
      await stage.use(leaving)
    }
  },
  'a token is used within the leeway after its expiry': {
    settings: { ACCESS_TOKEN_TTL: '2', CLOCK_LEEWAY: '5' },
    async run (stage) {
      const leaving = await stage.signIn()
      confirm(await stage.logOut(leaving))
      await stage.use(leaving)
      await sleep(leaving.expiresAt - Date.now() + 300)
      await stage.use(leaving)
    }
  },
  'the commit of a refresh takes longer than a token lives': {
    settings: { ACCESS_TOKEN_TTL: '2', CLOCK_LEEWAY: '0' },
    async run (stage) {
      const tokens = await stage.signIn()
      await closeGate(stage, 'sessions')
      const refreshing = stage.refresh(tokens)
      await untilWaiting(stage, gate)
      await sleep(2_500)
      await openGate(stage)
      const next = await refreshing
      confirm(await stage.logOutWithRefreshToken(next))
      await stage.use(next)
    }
  }
} satisfies Record<string, Schedule>

/** Waits until the second replica asks the record about the answers of its Redis, and accepts a good token. */
async function untilBehind (stage: Stage, good: Tokens): Promise<void> {
  await until('the second replica is behind', async () => await stage.askSecondReadiness() === 'behind')
  await until('it accepts a good token', async () => (await stage.use(good)).status === 200)
}

/** Throws unless an operation, on which a schedule relies, was answered 200. */
function confirm (operation: Operation): void {
  if (operation.status !== 200) throw new Error(`${operation.route} got ${answerOf(operation)}.`)
}

/** Returns true if the marker is at the last position that was given out. */
async function isMarked ({ sql, redis, marker }: Stage): Promise<boolean> {
  const [head] = await sql('select last_value::text as position from revocations_position_seq where is_called')
  return (await redis.admin.get(marker))?.endsWith(`:${String(head?.['position'])}`) === true
}

/** Makes each transaction that changes this table wait before its commit. */
async function closeGate ({ sql }: Stage, table: string): Promise<void> {
  await sql(
    `create or replace function wait_at_gate() returns trigger language plpgsql as 'begin perform pg_advisory_xact_lock_shared(${gate}); return null; end'`
  )
  await sql(
    `create constraint trigger gate after insert or update on ${table} deferrable initially deferred for each row execute function wait_at_gate()`
  )
  await sql(`select pg_advisory_lock(${gate})`)
}

async function openGate ({ sql }: Stage): Promise<void> {
  await sql(`select pg_advisory_unlock(${gate})`)
}

/** Waits until a transaction waits in Postgres for that lock. */
async function untilWaiting ({ sql }: Stage, lock: number): Promise<void> {
  const waiting =
    `select 1 from pg_locks where locktype = 'advisory' and objid = ${lock} and not granted and database = (select oid from pg_database where datname = current_database())`
  await until(`somebody waits for the lock ${lock}`, async () => (await sql(waiting)).length > 0)
}
