import type { Requester } from '../input/requester.ts'
import { SignoutError } from '../errors.ts'
import type { PasswordCheck } from './password-check.ts'
import type { User, UserRepository } from './user-repository.ts'

export interface PasswordProofOptions {
  users: UserRepository
  checkPassword: PasswordCheck
}

/**
 * Verifies the password of a user who is signed in. Resolves with the user, and with the index of the first candidate
 * that matches.
 *
 * Rejects with `invalid_credentials` (403) if no candidate matches, and with `invalid_token` if the user no longer
 * exists.
 */
export type ProvePassword = (
  own: { userId: string, sessionId: string },
  candidates: string[],
  requester: Requester
) => Promise<{ user: User, matching: number }>

export function createPasswordProof ({ users, checkPassword }: PasswordProofOptions): ProvePassword {
  return async (own, candidates, requester) => {
    const user = await users.findById(own.userId)
    if (user === undefined) throw new SignoutError('invalid_token')
    const matching = await checkPassword({
      username: user.username,
      user,
      passwords: candidates,
      requester,
      sessionId: own.sessionId,
      failure: 'password_check_failed'
    })
    // Not 401: the token is valid, and the client must not discard it.
    if (matching < 0) {
      throw new SignoutError('invalid_credentials', { statusCode: 403, description: 'The password is wrong.' })
    }
    return { user, matching }
  }
}

/**
 * Returns true if the user, locked by now, still has the password that was verified. Throws `invalid_token` if the user
 * no longer exists.
 */
export function isUnchanged<U extends User> (verified: User, locked: U | undefined): locked is U {
  if (locked === undefined) throw new SignoutError('invalid_token')
  return locked.passwordHash === verified.passwordHash
}

/** The largest number of attempts while other requests change the account. */
const maxTries = 3

/**
 * Repeats an attempt while it resolves to undefined, because the account changed between the verification and the lock.
 * Rejects with `service_unavailable` after {@link maxTries} attempts.
 */
export async function repeatedly<T> (attempt: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < maxTries; tries++) {
    const result = await attempt()
    if (result !== undefined) return result
  }
  throw new SignoutError('service_unavailable', { cause: new Error('The account kept changing.') })
}
