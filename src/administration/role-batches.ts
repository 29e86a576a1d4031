import { and, eq, lte, sql } from 'drizzle-orm'
import { sessions } from '../db/tables.ts'
import { SignoutError } from '../errors.ts'
import { lockRoles } from '../roles/role-repository.ts'
import type { SessionEnder } from '../sessions/session-ender.ts'
import { findUsersWithTokens, type Which } from '../sessions/session-repository.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { lockUsersWithRole, moveUsers } from '../users/user-repository.ts'
import { recordAct } from './administrator.ts'

export interface BatchOptions {
  ender: SessionEnder
  /** By how much clocks may differ, in seconds. */
  leewaySeconds: number
  /** The largest number of users whose sessions end in one transaction. Defaults to 500. */
  batchSize?: number
}

/** The number of users whose sessions ended, and of those sessions. */
export interface Ended { users: number, sessions: number }

/** Does a batch in a transaction, and returns what it ended. The last batch says so. */
export type Batch = (unit: Unit) => Promise<Ended & { isLast: boolean }>

/** The smallest UUID: an id before all users. */
const beforeAll = '00000000-0000-0000-0000-000000000000'
const defaultBatchSize = 500

/**
 * Does batches until the last one, of each kind in turn. If the blocklist does not confirm a batch, the others are
 * recorded all the same, and this rejects with `revocation_unavailable` at the end.
 */
export async function inBatches (perform: Perform, kinds: Batch[]): Promise<Ended> {
  const total = { users: 0, sessions: 0 }
  let failure: SignoutError | undefined
  for (const batch of kinds) {
    for (let isLast = false; !isLast;) {
      await perform(async unit => {
        const done = await batch(unit)
        isLast = done.isLast
        return done
      }).then(({ users, sessions }) => {
        total.users += users
        total.sessions += sessions
      }, error => {
        if (!(error instanceof SignoutError) || error.code !== 'revocation_unavailable') throw error
        failure = error
      })
    }
  }
  if (failure !== undefined) throw failure
  return total
}

/**
 * Ends the sessions of the users of a role that were opened until an instant.
 *
 * @param readInstant returns the instant, in the first transaction
 */
export function endBatches (options: BatchOptions, role: string, readInstant: (unit: Unit) => Promise<Date>): Batch {
  const select = async (unit: Unit) => lte(sessions.createdAt, await readInstant(unit))
  return eachUser(options, role, select, async (unit, ids, which) => {
    const { length } = await options.ender.end(unit, which, 'role_changed')
    if (length > 0) recordForUsers(unit, ids, role)
    return { users: ids.length, sessions: length }
  })
}

/** Revokes again the sessions of users who have the role `user` now, if the end of their role has ended them. */
export function revokeAgainBatches (options: BatchOptions): Batch {
  return eachUser(options, 'user', async () => eq(sessions.endReason, 'role_changed'), async (unit, _ids, which) => {
    await options.ender.revokeEnded(unit, which)
    return { users: 0, sessions: 0 }
  })
}

/** Gives the users of a role the role `user`, and ends their sessions. */
export function moveBatches ({ ender, batchSize = defaultBatchSize }: BatchOptions, role: string): Batch {
  return async unit => {
    await lockRoles(unit.db, 'exclusive')
    const ids = await lockUsersWithRole(unit.db, role, batchSize)
    if (ids.length === 0) return { users: 0, sessions: 0, isLast: true }
    await moveUsers(unit.db, ids, 'user')
    const { length } = await ender.end(unit, ofUsers(ids), 'role_changed')
    recordForUsers(unit, ids, 'user')
    return { users: ids.length, sessions: length, isLast: ids.length < batchSize }
  }
}

/** Returns batches of the users of a role who have tokens of the selected sessions, each user once. */
function eachUser (
  { batchSize = defaultBatchSize, leewaySeconds }: BatchOptions,
  role: string,
  select: (unit: Unit) => Promise<Which>,
  act: (unit: Unit, ids: string[], which: Which) => Promise<Ended>
): Batch {
  let after = beforeAll
  return async unit => {
    const which = await select(unit)
    const found = await findUsersWithTokens(unit.db, role, which, { after, limit: batchSize }, leewaySeconds)
    after = found.at(-1) ?? after
    // A user who has another role by now lost all sessions with this one.
    const ids = found.length === 0 ? [] : await lockUsersWithRole(unit.db, role, batchSize, found)
    const done = ids.length === 0 ? { users: 0, sessions: 0 } : await act(unit, ids, and(ofUsers(ids), which))
    return { ...done, isLast: found.length < batchSize }
  }
}

/** Selects the sessions of users. Passed as one parameter, because a statement has at most 65,535 of them. */
function ofUsers (ids: string[]): Which {
  return sql`${sessions.userId} = any(${`{${ids.join()}}`}::uuid[])`
}

/** Records that the rights of users have changed, in the events of each. */
function recordForUsers (unit: Unit, ids: string[], role: string): void {
  for (const userId of ids) recordAct(unit, { type: 'role_changed', userId, details: { role } }, {})
}
