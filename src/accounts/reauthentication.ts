import type { Requester } from '../input/requester.ts'
import { SignoutError } from '../errors.ts'
import type { OwnSession } from '../sessions/logout.ts'
import type { PasswordCheck } from '../users/password-check.ts'
import type { User, UserRepository } from '../users/user-repository.ts'

export interface ReauthenticationOptions {
  users: UserRepository
  checkPassword: PasswordCheck
}

/**
 * Has somebody who is signed in prove it again: answers the user and which of the passwords is theirs.
 *
 * Rejects with `invalid_credentials` (403) when none is, and with `invalid_token` when there is no such user any more.
 */
export type Reauthenticate = (
  own: OwnSession,
  candidates: string[],
  requester: Requester
) => Promise<{ user: User, matching: number }>

export function createReauthentication ({ users, checkPassword }: ReauthenticationOptions): Reauthenticate {
  return async (own, candidates, requester) => {
    const user = await users.findById(own.userId)
    if (user === undefined) throw new SignoutError('invalid_token')
    const matching = await checkPassword({
      username: user.username,
      user,
      passwords: candidates,
      requester,
      failure: 'password_check_failed'
    })
    // Not 401: the token is well, and a requester must not conclude that it is not.
    if (matching < 0) {
      throw new SignoutError('invalid_credentials', { statusCode: 403, description: 'The password is wrong.' })
    }
    return { user, matching }
  }
}

/**
 * Whether the password that was verified is still that of the user, who is locked by now. Throws `invalid_token` for
 * nobody.
 */
export function isUnchanged (verified: User, locked: User | undefined): boolean {
  if (locked === undefined) throw new SignoutError('invalid_token')
  return locked.passwordHash === verified.passwordHash
}

/** How often something is tried anew that the account itself changed under. */
const maxTries = 3

/** Tries again when what was verified had changed by the time that it was locked. */
export async function repeatedly (attempt: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < maxTries; tries++) if (await attempt()) return
  throw new SignoutError('service_unavailable', { cause: new Error('The account kept changing.') })
}
