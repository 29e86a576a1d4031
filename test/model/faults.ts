import type { Protocol } from './protocol.ts'
import { distrust, reconnect } from './replica.ts'
import {
  changeRedis, changeState, emptyRedis, goneLogout, has, isCommitted,
  type Log, type Logout, type Redis, type State, type Step
} from './state.ts'

/**
 * Returns the faults that can happen next. Deaths of projectors are among their own steps, and late commands among
 * those of the writers. A replica that reconnects without a reason needs no step. It is like one that has just started,
 * and a replica may start at any time here.
 */
export function stepsOfFaults (state: State, protocol: Protocol): Step[] {
  const steps: Step[] = []
  if (state.redisFaultsLeft > 0) {
    const after = changeState(state, { redisFaultsLeft: state.redisFaultsLeft - 1 })
    steps.push({ label: 'FLUSHALL', state: changeState(after, { redis: emptyRedis }), note: 'faults of Redis' })
    steps.push(restoreRedis(after, protocol))
    if (!same(state.redis, state.saved)) {
      steps.push({ label: 'a copy of Redis has come this far', state: changeState(state, { saved: state.redis }) })
    }
  }
  if (state.evictionsLeft > 0) steps.push(...evict(changeState(state, { evictionsLeft: state.evictionsLeft - 1 })))
  if (state.postgresFaultsLeft > 0) {
    steps.push(...restorePostgres(changeState(state, { postgresFaultsLeft: state.postgresFaultsLeft - 1 }), protocol))
  }
  return steps
}

const same = (a: Redis, b: Redis) =>
  a.entries === b.entries &&
  a.evicted === b.evicted &&
  a.marker.recordId === b.marker.recordId &&
  a.marker.position === b.marker.position &&
  a.marker.draft === b.marker.draft

/**
 * Redis falls back to what it was before, and every connection is new. This is a failover to a copy that lagged, an old
 * snapshot, or a restart without data.
 */
function restoreRedis (state: State, protocol: Protocol): Step {
  return {
    label: 'Redis falls back to that copy',
    state: changeState(state, { redis: state.saved, replica: reconnect(state.replica, protocol) }),
    note: 'faults of Redis'
  }
}

/**
 * Redis evicts an entry, and the replica starts after that, or does not trust it any more. A replica that runs would
 * accept the token for some seconds, which is a stated limit. Projectors do not notice.
 */
function evict (state: State): Step[] {
  const { redis, replica } = state
  return state.logouts.flatMap((_, index) =>
    has(redis.entries, index)
      ? [
          {
            label: `Redis evicts the entry of logout ${index + 1}, and the replica starts after that`,
            state: changeState(state, {
              redis: changeRedis(redis, { entries: redis.entries & ~(1 << index), evicted: 1 }),
              replica: distrust(replica)
            }),
            note: 'evictions' as const
          }
        ]
      : []
  )
}

/**
 * Returns the restores of Postgres from a backup of any earlier moment. The backup has some of the rows, but every row
 * up to `marked` of that moment, and its head is not below either. Writers, projectors and the replica do not notice.
 */
function restorePostgres (state: State, protocol: Protocol): Step[] {
  const steps: Step[] = []
  const committed = state.logouts.reduce((bits, logout, index) => isCommitted(logout) ? bits | 1 << index : bits, 0)
  for (let rows = 0; rows <= committed; rows++) {
    if ((rows & ~committed) !== 0) continue
    for (let head = 0; head <= state.record.head; head++) {
      for (let marked = 0; marked <= (protocol.recordsMarks ? Math.min(head, state.record.marked) : 0); marked++) {
        const backup = { id: state.record.id, head, marked }
        if (state.logouts.every((logout, index) => !isCommitted(logout) || fits(logout, has(rows, index), backup))) {
          steps.push(restoreTo(state, backup, rows))
        }
      }
    }
  }
  return steps
}

const fits = ({ position }: Logout, kept: boolean, { head, marked }: Log) => kept ? position <= head : position > marked

/** Restores Postgres. No promise covers a logout whose row is lost. */
function restoreTo (state: State, record: Log, rows: number): Step {
  const logouts = state.logouts.map((logout, index) =>
    logout.phase === 'open' || (isCommitted(logout) && !has(rows, index)) ? goneLogout : logout)
  return {
    label: `Postgres is restored from a backup in which the head is ${record.head}`,
    state: changeState(state, { logouts, record }),
    note: 'Postgres restored'
  }
}
