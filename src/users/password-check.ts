import type { Requester } from '../input/requester.ts'
import type { Limits } from '../limits/limits.ts'
import type { EventRepository } from '../security/event-repository.ts'
import { normalizePassword } from './credentials.ts'
import { maxVerificationMs, type PasswordHasher } from './password-hasher.ts'
import type { User } from './user-repository.ts'

export interface PasswordCheckOptions {
  passwords: PasswordHasher
  limits: Limits
  events: EventRepository
}

export interface PasswordQuestion {
  /** As it was typed. It may be nobody's. */
  username: string
  /** Whose it is, if anybody's. Without a user no password matches, and it takes as long to find out. */
  user: User | undefined
  /** Tried in this order. */
  passwords: string[]
  requester: Requester
  /** How a wrong password is recorded. */
  failure: 'login_failed' | 'password_check_failed'
}

/**
 * The one place in which passwords are checked: within the limits, in the same time for whoever there is, and recorded
 * when none matches.
 *
 * A question is one attempt and, when no password matches, one failure, however many passwords it has. Somebody who
 * mistypes the present password in a change of it has mistyped one. The attempt is dropped only if one of the passwords
 * was right. So a thief with an access token can test two guesses for each attempt, and no more.
 *
 * The verdict is given only if the attempt had not lapsed when it was counted.
 *
 * Resolves with the index of the first password that matches, or -1. Rejects with `too_many_requests`, and with
 * `service_unavailable` when too many passwords wait to be hashed or the attempt has lapsed.
 */
export type PasswordCheck = (question: PasswordQuestion) => Promise<number>

/** A change of the password asks about the present one and the new one. */
const maxPasswords = 2
/**
 * How long an attempt may take from its reservation to its verdict, in milliseconds: two verifications, each with a
 * bounded wait. An attempt that takes longer has lapsed, and gets no verdict.
 */
export const attemptLeaseMs = maxPasswords * maxVerificationMs

/** Whose place is looked up for a username that does not exist, so that it takes as long. No user has this id. */
const noUserId = '00000000-0000-0000-0000-000000000000'

export function createPasswordCheck ({ passwords: hasher, limits, events }: PasswordCheckOptions): PasswordCheck {
  return async ({ username, user, passwords, requester, failure }) => {
    const attempt = await limits.attemptPassword({
      account: username,
      ip: requester.ip,
      async isKnownPlace () {
        const isKnown = await events.hasSignedInFrom(user?.id ?? noUserId, requester.ip)
        return isKnown && user !== undefined
      }
    })
    const recordFailure = () => events.countFailure({ type: failure, userId: user?.id, ip: requester.ip })
    for (const [index, password] of passwords.entries()) {
      // What is not well-formed has no encoding, and would match whatever stands for it there.
      const passwordHash = password.isWellFormed() ? user?.passwordHash : undefined
      const matches = await hasher.verify(normalizePassword(password), passwordHash).catch(async error => {
        // A password that could not be checked was not a wrong one. But that error tells that those before it were.
        if (index === 0) {
          await attempt.abandon()
        } else {
          await attempt.fail()
          await recordFailure()
        }
        throw error
      })
      if (matches) {
        await attempt.succeed()
        return index
      }
    }
    await attempt.fail()
    await recordFailure()
    return -1
  }
}
