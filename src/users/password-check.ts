import { networkOf, type Requester } from '../input/requester.ts'
import type { Limits } from '../limits/limits.ts'
import type { EventRepository } from '../security/event-repository.ts'
import { normalizePassword } from './credentials.ts'
import { DamagedHashError, maxVerificationMs, type PasswordHasher } from './password-hasher.ts'
import type { User } from './user-repository.ts'
import type { WrongPasswords } from './wrong-passwords.ts'

export interface PasswordCheckOptions {
  passwords: PasswordHasher
  limits: Limits
  wrongPasswords: WrongPasswords
  events: EventRepository
  /** Called when the stored hash of a user cannot be read, for operators. The user gets the same answer as always. */
  onDamagedHash?: (userId: string | undefined, error: DamagedHashError) => void
}

export interface PasswordQuestion {
  /** The username, as it was typed. It may not exist. */
  username: string
  /** The user of that name, if there is one. Without a user no password matches, and the check takes as long. */
  user: User | undefined
  /** The candidates, which are tried in this order. */
  passwords: string[]
  requester: Requester
  /** The session in whose name it is asked. Undefined for a login. */
  sessionId?: string | undefined
  /** The type of the security event for a wrong password. */
  failure: 'login_failed' | 'password_check_failed'
}

/**
 * Checks passwords: within the limits, in the same time for unknown users, and with a record of failures. No other code
 * does.
 *
 * A question is one attempt and, when no password matches, one failure, regardless of how many passwords it has. A user
 * who mistypes the present password in a password change has made one mistake. The attempt is dropped only if one of
 * the passwords was right. So a thief with an access token can test two guesses for each attempt, and no more.
 *
 * The result is given only if the attempt had not lapsed when it was counted.
 *
 * Resolves with the index of the first password that matches, or -1. Rejects with `too_many_requests`, and with
 * `service_unavailable` when too many passwords wait to be hashed or the attempt has lapsed.
 */
export type PasswordCheck = (question: PasswordQuestion) => Promise<number>

/** The largest number of passwords in a question: a password change checks the present one and the new one. */
const maxPasswords = 2
/**
 * The longest time from the reservation of an attempt to its result, in milliseconds: two verifications, each with a
 * bounded wait. An attempt that takes longer has lapsed, and gets no result.
 */
export const attemptLeaseMs = maxPasswords * maxVerificationMs

/** The id that is looked up for an unknown username, so that the look-up takes as long. No user has this id. */
const noUserId = '00000000-0000-0000-0000-000000000000'

export function createPasswordCheck (options: PasswordCheckOptions): PasswordCheck {
  const { limits, wrongPasswords, events } = options
  return async question => {
    const { username, user, sessionId, requester, failure } = question
    const isKnownPlace = once(async () => {
      const isKnown = await events.hasSignedInFrom(user?.id ?? noUserId, requester.ip)
      return isKnown && user !== undefined
    })
    const account = { username, user, sessionId, isKnownPlace }
    await wrongPasswords.admit(account)
    const attempt = await limits.attemptPassword({
      account: username,
      ip: requester.ip,
      // Strangers cannot use up what has to be tried in the name of a session.
      isKnownPlace: async () => sessionId !== undefined || await isKnownPlace()
    })

    async function conclude (isRight: boolean): Promise<void> {
      // First, and alike for a right password and a wrong one: a refusal must not tell them apart.
      await wrongPasswords.conclude(account, isRight).catch(async error => {
        await attempt.abandon()
        throw error
      })
      if (isRight) {
        await attempt.succeed()
      } else {
        await attempt.fail()
        await events.countFailure({ type: failure, userId: user?.id, requester })
      }
    }

    for (const [index, password] of question.passwords.entries()) {
      const matches = await verify(options, question, password).catch(async error => {
        // A password that could not be checked is not a wrong one. But it is only checked after those before it were
        // wrong.
        if (index === 0) await attempt.abandon()
        else await conclude(false)
        throw error
      })
      if (!matches) continue
      await conclude(true)
      return index
    }
    await conclude(false)
    return -1
  }
}

async function verify (
  { passwords: hasher, onDamagedHash }: PasswordCheckOptions,
  { user, requester }: PasswordQuestion,
  password: string
): Promise<boolean> {
  // A lone surrogate is replaced when the text is encoded, so two different passwords would match.
  const passwordHash = password.isWellFormed() ? user?.passwordHash : undefined
  try {
    return await hasher.verify(normalizePassword(password), passwordHash, networkOf(requester.ip))
  } catch (error) {
    if (!(error instanceof DamagedHashError)) throw error
    onDamagedHash?.(user?.id, error)
    return false
  }
}

/** Returns a function that does the work once, and returns its result each time. */
function once<T> (work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined
  return () => (result ??= work())
}
