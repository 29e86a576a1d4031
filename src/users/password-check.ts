import type { Client } from '../client.ts'
import type { Limits } from '../limits/limits.ts'
import type { EventRepository } from '../security/event-repository.ts'
import { normalizePassword } from './credentials.ts'
import type { PasswordHasher } from './password-hasher.ts'
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
  client: Client
  /** How a wrong password is recorded. */
  failure: 'login_failed' | 'password_check_failed'
}

/**
 * The one place in which passwords are checked: within the limits, in the same time for whoever there is, and recorded
 * when none matches.
 *
 * A question is one attempt and, when no password matches, one failure, however many passwords are in it: somebody who
 * mistypes the present password in a change of it has mistyped one. The second is tested under the attempt that the first
 * was charged for, and that is given back only when one of them was right. So nothing is tested for nothing: whoever holds
 * a token of the account and sends two guesses at a time has two for each attempt, and no more.
 *
 * Answers the index of the first password that matches, or -1. Rejects with `too_many_requests`, and with
 * `service_unavailable` when too many passwords wait to be hashed.
 */
export type PasswordCheck = (question: PasswordQuestion) => Promise<number>

export function createPasswordCheck ({ passwords: hasher, limits, events }: PasswordCheckOptions): PasswordCheck {
  return async ({ username, user, passwords, client, failure }) => {
    const attempt = await limits.attemptPassword({
      account: username,
      ip: client.ip,
      isKnownPlace: async () => user !== undefined && await events.hasSignedInFrom(user.id, client.ip)
    })
    const countFailure = () => events.countFailure({ type: failure, userId: user?.id, ip: client.ip })
    for (const [index, password] of passwords.entries()) {
      // What is not well-formed has no encoding, and would match whatever stands for it there.
      const passwordHash = password.isWellFormed() ? user?.passwordHash : undefined
      const matches = await hasher.verify(normalizePassword(password), passwordHash).catch(async error => {
        // A password that could not be checked was not a wrong one. But that error tells that those before it were.
        if (index === 0) await attempt.abandon()
        else await countFailure()
        throw error
      })
      if (matches) {
        await attempt.succeed()
        return index
      }
    }
    await countFailure()
    return -1
  }
}
