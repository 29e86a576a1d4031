import { createHmac, hkdfSync, randomUUID } from 'node:crypto'
import { placeOf } from '../input/requester.ts'
import { foldCase } from '../db/case-folding.ts'
import { SignoutError, type RateLimit } from '../errors.ts'
import type { Admission, Counter } from './counter.ts'
import type { Try, WaitingRoom } from './waiting-room.ts'

/** Every limit, by the name that HTTP clients read in the RateLimit header field. */
export type LimitName =
  | 'password-by-account'
  | 'password-by-ip'
  | 'password-by-account-and-ip'
  | 'register-by-ip'
  | 'refresh-by-session'

/**
 * An attempt at a password that was admitted and is under way. It must be ended once, by one of these, before its
 * requester is answered. Each resolves when that is counted.
 */
export interface PasswordAttempt {
  /** The password was right: nothing is counted. Rejects with `service_unavailable` if the attempt has lapsed. */
  succeed (): Promise<void>
  /** The password was wrong, which counts. Rejects with `service_unavailable` if the attempt has lapsed. */
  fail (): Promise<void>
  /** The password could not be checked, so nothing was learnt about it: nothing is counted. */
  abandon (): Promise<void>
}

export interface PasswordGuess {
  /** The username, in any case of its letters. There may be no such account: that makes no difference. */
  account: string
  ip: string | undefined
  /**
   * Whether the account's password was proved there before. Only asked when the limit of the account alone is used up.
   */
  isKnownPlace: () => Promise<boolean>
}

/**
 * How often something may be tried. Each method rejects with `too_many_requests` where a limit is used up, and with
 * nothing else of its own: where attempts cannot be counted together with other replicas, they are counted alone.
 */
export interface Limits {
  /**
   * Admits an attempt at a password, before the password is verified. Three limits apply: by account, by IP and by
   * both. Only wrong passwords use them up. An attempt that one limit refuses leaves the others as they were.
   *
   * While only attempts under way are in the way, it waits for them, and rejects with `too_many_requests` after
   * seconds.
   *
   * Where `isKnownPlace` answers true the limit by account alone does not apply: strangers can use it up, and would
   * lock the owner out.
   *
   * An attempt lapses when it takes too long, and counts as a wrong one then.
   */
  attemptPassword (guess: PasswordGuess): Promise<PasswordAttempt>
  /** Counts a registration, whatever becomes of it. */
  register (ip: string | undefined): Promise<void>
  /** Counts a refresh, whatever becomes of it. */
  refresh (sessionId: string): Promise<void>
}

export interface LimitsOptions {
  rateOf: (name: LimitName) => RateLimit
  counterOf: (rate: RateLimit) => Counter
  room: WaitingRoom
  /** Keeps names in keys unreadable. The same for all replicas. */
  secret: string
}

/** An attempt has taken longer than its reservation was held. */
export class LapsedAttemptError extends Error {
  override readonly name = 'LapsedAttemptError'
}

/**
 * Where a proxy passes on what is no address. They share one place: to let them pass unlimited would invite everybody
 * to come without an address.
 */
const unknownPlace = 'unknown'

/** One limit, and the key under which it counts one attempt. */
interface Count {
  rate: RateLimit
  counter: Counter
  key: string
}

const nameOf = ({ rate, key }: Count) => `${rate.name}:${key}`

export function createLimits ({ rateOf, counterOf, room, secret }: LimitsOptions): Limits {
  const limitOf = (name: LimitName) => {
    const rate = rateOf(name)
    return { rate, counter: counterOf(rate) }
  }
  const byAccount = limitOf('password-by-account')
  const byIp = limitOf('password-by-ip')
  const byAccountAndIp = limitOf('password-by-account-and-ip')
  const registerByIp = limitOf('register-by-ip')
  const refreshBySession = limitOf('refresh-by-session')
  const hashAccount = createAccountHash(secret)

  async function settle (counts: Count[], id: string, isWrong: boolean): Promise<boolean> {
    const settlements = await Promise.all(counts.map(({ counter, key }) => counter.settle(key, id, isWrong)))
    for (const count of counts) room.wake(nameOf(count))
    return settlements.every(({ wasHeld }) => wasHeld)
  }

  /** Reserves a place in all of them, or in none. Answers which one refuses, and how. */
  async function reserve (counts: Count[], id: string): Promise<{ refused: Count, admission: Admission } | undefined> {
    for (const [index, refused] of counts.entries()) {
      const admission = await refused.counter.reserve(refused.key, id)
      if (admission.isAdmitted) continue
      await settle(counts.slice(0, index), id, false)
      return { refused, admission }
    }
    return undefined
  }

  async function attempt (counts: Count[], isKnownPlace: () => Promise<boolean>): Promise<Try<PasswordAttempt>> {
    const id = randomUUID()
    const refusal = await reserve(counts, id)
    if (refusal === undefined) return { result: toAttempt(isWrong => settle(counts, id, isWrong)) }
    const { refused: { counter, rate }, admission } = refusal
    if (admission.wrong < rate.attempts) return { busy: nameOf(refusal.refused) }
    // Nothing is reserved while the database is asked: that may take long.
    if (counter !== byAccount.counter || !await isKnownPlace()) throw tooMany(rate, admission.windowMs)
    return await attempt(counts.filter(({ counter }) => counter !== byAccount.counter), isKnownPlace)
  }

  async function count ({ rate, counter }: Omit<Count, 'key'>, key: string): Promise<void> {
    const { isAdmitted, windowMs } = await counter.count(key)
    if (!isAdmitted) throw tooMany(rate, windowMs)
  }

  return {
    async attemptPassword ({ account, ip, isKnownPlace }) {
      const hash = hashAccount(account)
      const place = placeOf(ip) ?? unknownPlace
      // From the narrowest to the widest: whoever is refused has not touched, for an instant even, what others share.
      const counts = [
        { ...byAccountAndIp, key: `${hash}:${place}` },
        { ...byIp, key: place },
        { ...byAccount, key: hash }
      ]
      const names = counts.map(nameOf)
      const giveUp = (busy: string) => tooMany((counts[names.indexOf(busy)] as Count).rate, 0)
      return await room.run(names, place, () => attempt(counts, isKnownPlace), giveUp)
    },
    register: ip => count(registerByIp, placeOf(ip) ?? unknownPlace),
    refresh: sessionId => count(refreshBySession, sessionId)
  }
}

/** No limits at all. */
export const noLimits: Limits = {
  attemptPassword: async () => toAttempt(async () => true),
  register: async () => {},
  refresh: async () => {}
}

function toAttempt (settle: (isWrong: boolean) => Promise<boolean>): PasswordAttempt {
  async function conclude (isWrong: boolean): Promise<void> {
    if (await settle(isWrong)) return
    throw new SignoutError('service_unavailable', {
      cause: new LapsedAttemptError('The password took too long to check, so the attempt counts as a wrong one.')
    })
  }
  return {
    succeed: () => conclude(false),
    fail: () => conclude(true),
    abandon: async () => { await settle(false) }
  }
}

/** Rounded up, so that whoever waits that long finds the window passed. */
function tooMany (limit: RateLimit, windowMs: number): SignoutError {
  return new SignoutError('too_many_requests', { limit, retryAfterSeconds: Math.max(1, Math.ceil(windowMs / 1000)) })
}

/**
 * A username is personal data, and people type passwords where it belongs; what Redis holds must not tell either.
 * Without the secret, a hash of something that short could be found by trying.
 */
function createAccountHash (secret: string): (account: string) => string {
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'signout accounts in limits', 32))
  return account => createHmac('sha256', key).update(foldCase(account)).digest('base64url')
}
