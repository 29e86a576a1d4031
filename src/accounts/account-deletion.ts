import type { Requester } from '../input/requester.ts'
import type { Database } from '../db/database.ts'
import { SignoutError } from '../errors.ts'
import { requireLive, type OwnSession } from '../sessions/own-session.ts'
import type { SessionEnder } from '../sessions/session-ender.ts'
import { findSession, forgetPlaces, sessionOf, sessionsOf } from '../sessions/session-repository.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { isUnchanged, repeatedly, type ProvePassword } from '../users/password-proof.ts'
import { deleteUser, lockUserAndAdmins, type User } from '../users/user-repository.ts'

export interface AccountDeletionOptions {
  database: Database
  provePassword: ProvePassword
  perform: Perform
  ender: SessionEnder
}

/**
 * Deletes the account and ends all its sessions. If the account is deleted already, no password is checked, and its
 * sessions are revoked again. Rejects with `invalid_credentials` (403) for a wrong password, and with `last_admin` for
 * the last administrator.
 */
export type DeleteOwnAccount = (own: OwnSession, password: string, requester: Requester) => Promise<void>

export function createAccountDeletion ({
  database,
  provePassword,
  perform,
  ender
}: AccountDeletionOptions): DeleteOwnAccount {
  async function repeatDeletion (own: OwnSession): Promise<void> {
    const session = await database.run(db => findSession(db, sessionOf(own.userId, own.sessionId)))
    if (session?.endReason !== 'account_deleted') throw new SignoutError('invalid_token')
    await perform(unit => ender.revokeEnded(unit, sessionsOf(own.userId)))
  }

  async function deleteOnce (own: OwnSession, password: string, requester: Requester): Promise<void> {
    await repeatedly(async () => {
      const { user } = await provePassword(own, [password], requester)
      return await perform(async unit => {
        const locked = await lockUserAndAdmins(unit.db, user.id)
        if (!isUnchanged(user, locked.user)) return undefined
        await requireLive(unit, own)
        await deleteAccount(unit, ender, user, locked.hasOtherAdmin)
        unit.record({ type: 'account_deleted', userId: user.id, sessionId: own.sessionId, requester })
        return true
      })
    })
  }

  return async (own, password, requester) => {
    try {
      await deleteOnce(own, password, requester)
    } catch (error) {
      // The user no longer exists: an earlier request, or a faster one, has deleted the account.
      if (!(error instanceof SignoutError && error.code === 'invalid_token')) throw error
      await repeatDeletion(own)
    }
  }
}

/**
 * Deletes a user, who must be locked, and ends the user's sessions. The rows of the sessions stay, without IP addresses
 * and user agents. Security events stay for their retention. Throws `last_admin` for the last administrator.
 */
export async function deleteAccount (
  unit: Unit,
  ender: SessionEnder,
  user: User,
  hasOtherAdmin: boolean
): Promise<void> {
  if (user.role === 'admin' && !hasOtherAdmin) throw new SignoutError('last_admin')
  await ender.end(unit, sessionsOf(user.id), 'account_deleted')
  await forgetPlaces(unit.db, user.id)
  await deleteUser(unit.db, user.id)
}
