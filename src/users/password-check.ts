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
 * Answers the index of the first password that matches, or -1. Rejects with `too_many_requests`, and with
 * `service_unavailable` when too many passwords wait to be hashed.
 */
export type PasswordCheck = (question: PasswordQuestion) => Promise<number>

export function createPasswordCheck ({ passwords: hasher, limits, events }: PasswordCheckOptions): PasswordCheck {
  return async ({ username, user, passwords, client, failure }) => {
    for (const [index, password] of passwords.entries()) {
      const attempt = await limits.attemptPassword({
        account: username,
        ip: client.ip,
        isKnownPlace: async () => user !== undefined && await events.hasSignedInFrom(user.id, client.ip)
      })
      // What is not well-formed has no encoding, and would match whatever stands for it there.
      const passwordHash = password.isWellFormed() ? user?.passwordHash : undefined
      // A password that could not be checked was not a wrong one.
      const matches = await hasher.verify(normalizePassword(password), passwordHash).catch(async error => {
        await attempt.abandon()
        throw error
      })
      if (matches) {
        await attempt.succeed()
        return index
      }
    }
    await events.countFailure({ type: failure, userId: user?.id, ip: client.ip })
    return -1
  }
}
