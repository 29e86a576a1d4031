import type { Database } from '../db/database.ts'
import { SignoutError } from '../errors.ts'
import { endingUuidPattern } from '../input/uuid.ts'
import { readCursor, toPage, type Page, type PageRequest } from '../input/pages.ts'
import { isDeletionRecorded } from '../security/event-repository.ts'
import type { SessionEnder } from '../sessions/session-ender.ts'
import { listSessions, sessionsOf, type Session } from '../sessions/session-repository.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { deleteAccount } from '../accounts/account-deletion.ts'
import {
  isActiveAdmin,
  lockUserAndAdmins,
  updateUser,
  type Role,
  type Status,
  type User,
  type UserRepository
} from '../users/user-repository.ts'
import { lockForAct, recordAct, requireRight, type Administrator } from './administrator.ts'

export interface UserAdministrationOptions {
  database: Database
  users: UserRepository
  perform: Perform
  ender: SessionEnder
}

/**
 * What administrators do to other people's accounts, for as long as they may: each act rejects with `token_revoked` or
 * `forbidden` for one who may no longer. Each rejects with `not_found` for a user that is not there; those that
 * would take the last administrator away with `last_admin`; those that end sessions with `revocation_unavailable`, and
 * may then be repeated: what is so already stays so, and what has ended is revoked again.
 */
export interface UserAdministration {
  /** Users in the order of their registration. */
  list (page: PageRequest): Promise<Page<User>>
  get (id: string): Promise<User>
  listSessions (id: string): Promise<Session[]>
  /** Ends all sessions of a user. */
  endSessions (id: string, by: Administrator): Promise<void>
  /** Ends all sessions of a user whose role it changes. */
  setRole (id: string, role: Role, by: Administrator): Promise<User>
  /** Ends all sessions of a user that it disables. */
  setStatus (id: string, status: Status, by: Administrator): Promise<User>
  delete (id: string, by: Administrator): Promise<void>
}

/** When the last user of a page registered, and its id. */
const cursorForm = new RegExp(`^\\d{1,14} ${endingUuidPattern}`)
/** How many sessions one answer lists: more than a user may have. */
const maxListedSessions = 1_000

export function createUserAdministration (options: UserAdministrationOptions): UserAdministration {
  const { database, users, perform, ender } = options
  async function get (id: string): Promise<User> {
    const user = await users.findById(id)
    if (user === undefined) throw new SignoutError('not_found')
    return user
  }

  /** Changes one column of a user, and ends the user's sessions if it was another before. */
  async function change<K extends 'role' | 'status'> (
    id: string,
    column: K,
    value: User[K],
    by: Administrator
  ): Promise<User> {
    return await perform(async unit => {
      const { user, hasOtherAdmin } = await lockWithAdmins(unit, id, by)
      if (user === undefined) throw new SignoutError('not_found')
      if (user[column] === value) {
        await ender.revokeEnded(unit, sessionsOf(id))
        return user
      }
      const changed = { ...user, [column]: value }
      if (isActiveAdmin(user) && !isActiveAdmin(changed) && !hasOtherAdmin) throw new SignoutError('last_admin')
      await updateUser(unit.db, id, { [column]: value })
      const ended = await ender.end(unit, sessionsOf(id), column === 'role' ? 'role_changed' : 'account_disabled')
      const type = column === 'role' ? 'role_changed' : 'status_changed'
      recordAct(unit, { type, userId: id, details: { [column]: value, sessions: ended.length } }, by)
      return changed
    })
  }

  return {
    async list ({ cursor, limit }) {
      const [at, after] = readCursor(cursor, cursorForm)?.split(' ') ?? []
      const found = await users.list({
        after: at === undefined || after === undefined ? undefined : { createdAt: new Date(Number(at)), id: after },
        limit: limit + 1
      })
      return toPage(found, limit, user => `${user.createdAt.getTime()} ${user.id}`)
    },
    get,
    async listSessions (id) {
      const listed = await database.run(db => listSessions(db, id, 'live', maxListedSessions))
      if (listed.length === 0) await get(id)
      return listed
    },
    async endSessions (id, by) {
      await perform(async unit => {
        if (await lockForAct(unit, by, id) === undefined) throw new SignoutError('not_found')
        const ended = await ender.end(unit, sessionsOf(id), 'ended_by_admin')
        recordAct(unit, { type: 'sessions_revoked', userId: id, details: { sessions: ended.length } }, by)
      })
    },
    setRole: (id, role, by) => change(id, 'role', role, by),
    setStatus: (id, status, by) => change(id, 'status', status, by),
    async delete (id, by) {
      await perform(async unit => {
        const { user, hasOtherAdmin } = await lockWithAdmins(unit, id, by)
        if (user === undefined) {
          await revokeDeleted(unit, ender, id)
          return
        }
        await deleteAccount(unit, ender, user, hasOtherAdmin)
        recordAct(unit, { type: 'account_deleted', userId: id }, by)
      })
    }
  }
}

/** Locks the user and all who might be the last administrator, whoever does it among them. */
async function lockWithAdmins (unit: Unit, id: string, by: Administrator) {
  const { locked, ...found } = await lockUserAndAdmins(unit.db, id)
  await requireRight(unit, by, locked.find(user => user.id === by.id))
  return found
}

/** A deletion is repeated: what it ended is revoked again, for as long as anything is known of it. */
async function revokeDeleted (unit: Unit, ender: SessionEnder, id: string): Promise<void> {
  const [session] = await listSessions(unit.db, id, 'over', 1)
  if (session === undefined && !await isDeletionRecorded(unit.db, id)) throw new SignoutError('not_found')
  await ender.revokeEnded(unit, sessionsOf(id))
}
