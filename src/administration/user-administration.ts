import type { Database } from '../db/database.ts'
import { SignoutError } from '../errors.ts'
import { endingUuidPattern } from '../input/uuid.ts'
import { readCursor, toPage, type Page, type PageRequest } from '../input/pages.ts'
import { findLastLogin, isDeletionRecorded } from '../security/event-repository.ts'
import { lockRoles, requireRole } from '../roles/role-repository.ts'
import type { SessionEnder } from '../sessions/session-ender.ts'
import type { RequireRecent } from '../sessions/recent-authentication.ts'
import { listSessions, sessionsOf, summarizeSessions, type Session } from '../sessions/session-repository.ts'
import type { Unit } from '../unit-of-work.ts'
import { deleteAccount } from '../accounts/account-deletion.ts'
import {
  isActiveAdmin,
  lockUserAndAdmins,
  updateUser,
  type Status,
  type User,
  type UserFilter
} from '../users/user-repository.ts'
import { lockForAct, recordAct, requireRight, type Administrator } from './administrator.ts'
import { createPasswordReset, type PasswordResetOptions, type SetPassword } from './password-reset.ts'

export type UserAdministrationOptions = { database: Database } & PasswordResetOptions

/** A user, the number of live sessions, and the last login or the opening of the newest session, if one is kept. */
export interface UserSummary {
  user: User
  liveSessions: number
  lastLoginAt: Date | undefined
}

/**
 * The operations of administrators on other accounts. An act rejects with `token_revoked` or `forbidden` if the
 * administrator may no longer act. Methods reject with `not_found` if the user does not exist. Acts that would remove
 * the last administrator reject with `last_admin`.
 *
 * Acts that end sessions reject with `revocation_unavailable` if the blocklist does not confirm it. Repeating them is
 * safe: changes stay, and ended sessions are revoked again.
 */
export interface UserAdministration {
  /** Returns a page of users, in the order of their registration. */
  list (page: PageRequest, filter?: UserFilter): Promise<Page<User>>
  get (id: string): Promise<User>
  summarize (id: string): Promise<UserSummary>
  listSessions (id: string): Promise<Session[]>
  /** Ends all sessions of a user. */
  endSessions (id: string, by: Administrator): Promise<void>
  /**
   * Sets the role of a user. If the role changes, all sessions of the user end. Rejects with `invalid_request` for a
   * role that does not exist.
   */
  setRole (id: string, role: string, by: Administrator): Promise<User>
  /** Sets the status of a user. If the status changes, all sessions of the user end. */
  setStatus (id: string, status: Status, by: Administrator): Promise<User>
  setPassword: SetPassword
  /** Deletes a user and ends all sessions. For a user who was deleted before, the sessions are revoked again. */
  delete (id: string, by: Administrator): Promise<void>
}

/**
 * The form of a cursor: the registration of the last user of a page, in milliseconds since the epoch, and the user's
 * id.
 */
const cursorForm = new RegExp(`^\\d{1,14} ${endingUuidPattern}`)
/** The largest number of sessions in one answer: as many as a user may have. */
const maxListedSessions = 1_000

/** The reason for which sessions end when a column of a user changes, and the security event. */
const effects = {
  role: { reason: 'role_changed', type: 'role_changed' },
  status: { reason: 'account_disabled', type: 'status_changed' }
} as const

export function createUserAdministration (options: UserAdministrationOptions): UserAdministration {
  const { database, users, perform, ender, requireRecent } = options
  async function get (id: string): Promise<User> {
    const user = await users.findById(id)
    if (user === undefined) throw new SignoutError('not_found')
    return user
  }

  /** Changes one column of a user and ends the user's sessions. If the value is set already, they are revoked again. */
  async function change<K extends 'role' | 'status'> (
    id: string,
    column: K,
    value: User[K],
    by: Administrator
  ): Promise<User> {
    return await perform(async unit => {
      if (column === 'role') await lockRoles(unit.db, 'shared')
      const { user, hasOtherAdmin } = await lockWithAdmins(unit, requireRecent, id, by)
      if (user === undefined) throw new SignoutError('not_found')
      if (column === 'role') await requireRole(unit.db, value)
      if (user[column] === value) return await ender.revokeEnded(unit, sessionsOf(id)).then(() => user)
      const changed = { ...user, [column]: value }
      if (isActiveAdmin(user) && !isActiveAdmin(changed) && !hasOtherAdmin) throw new SignoutError('last_admin')
      await updateUser(unit.db, id, { [column]: value })
      const { reason, type } = effects[column]
      const ended = await ender.end(unit, sessionsOf(id), reason)
      recordAct(unit, { type, userId: id, details: { [column]: value, sessions: ended.length } }, by)
      return changed
    })
  }

  return {
    async list ({ cursor, limit }, filter) {
      const [at, id] = readCursor(cursor, cursorForm)?.split(' ') ?? []
      const after = at === undefined || id === undefined ? undefined : { createdAt: new Date(Number(at)), id }
      const found = await users.list({ after, limit: limit + 1 }, filter)
      return toPage(found, limit, user => `${user.createdAt.getTime()} ${user.id}`)
    },
    get,
    summarize: async id => await summarize(database, await get(id)),
    async listSessions (id) {
      const listed = await database.run(db => listSessions(db, id, 'live', maxListedSessions))
      if (listed.length === 0) await get(id)
      return listed
    },
    async endSessions (id, by) {
      await perform(async unit => {
        if (await lockForAct(unit, requireRecent, by, id) === undefined) throw new SignoutError('not_found')
        const ended = await ender.end(unit, sessionsOf(id), 'ended_by_admin')
        recordAct(unit, { type: 'sessions_revoked', userId: id, details: { sessions: ended.length } }, by)
      })
    },
    setRole: (id, role, by) => change(id, 'role', role, by),
    setStatus: (id, status, by) => change(id, 'status', status, by),
    setPassword: createPasswordReset(options),
    async delete (id, by) {
      await perform(async unit => {
        const { user, hasOtherAdmin } = await lockWithAdmins(unit, requireRecent, id, by)
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

async function summarize (database: Database, user: User): Promise<UserSummary> {
  const { live, newestAt } = await database.run(db => summarizeSessions(db, user.id))
  const loginAt = await database.run(db => findLastLogin(db, user.id))
  const times = [newestAt, loginAt].flatMap(at => at === undefined ? [] : [at.getTime()])
  return { user, liveSessions: live, lastLoginAt: times.length === 0 ? undefined : new Date(Math.max(...times)) }
}

/** Locks the user and all administrators, and checks that the administrator may act. */
async function lockWithAdmins (unit: Unit, requireRecent: RequireRecent, id: string, by: Administrator) {
  const { locked, ...found } = await lockUserAndAdmins(unit.db, id)
  await requireRight(unit, requireRecent, by, locked.find(user => user.id === by.id))
  return found
}

/** Repeats a deletion: revokes the ended sessions again. Throws `not_found` if no record of the user is left. */
async function revokeDeleted (unit: Unit, ender: SessionEnder, id: string): Promise<void> {
  const [session] = await listSessions(unit.db, id, 'over', 1)
  if (session === undefined && !await isDeletionRecorded(unit.db, id)) throw new SignoutError('not_found')
  await ender.revokeEnded(unit, sessionsOf(id))
}
