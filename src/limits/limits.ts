import { createHmac, hkdfSync, randomUUID } from 'node:crypto'
import { networkOf, placeOf, unknownPlace } from '../input/requester.ts'
import { foldCase } from '../db/case-folding.ts'
import { SignoutError, type RateLimit } from '../errors.ts'
import type { Admission, Counter } from './counter.ts'
import type { Try, WaitingRoom } from './waiting-room.ts'

/** The limits that count in windows, in Redis. HTTP clients read their names in the RateLimit header field. */
export const windowLimitNames = [
  'password-by-account', 'password-by-ip', 'password-by-network', 'password-by-account-and-ip', 'login-by-account',
  'register-by-ip', 'register-by-network', 'refresh-by-session', 'refresh-by-account', 'client-by-ip'
] as const
export type WindowLimitName = typeof windowLimitNames[number]

/** All limits. Wrong passwords in a row are counted in Postgres. */
export const limitNames = [...windowLimitNames, 'password-in-a-row'] as const
export type LimitName = typeof limitNames[number]

/**
 * An admitted attempt at a password. Call one of its methods, once, before the requester gets an answer. Each resolves
 * when the result is counted.
 */
export interface PasswordAttempt {
  /** The password was right: nothing is counted. Rejects with `service_unavailable` if the attempt has lapsed. */
  succeed (): Promise<void>
  /** The password was wrong, which counts. Rejects with `service_unavailable` if the attempt has lapsed. */
  fail (): Promise<void>
  /** The password could not be checked: nothing is counted. */
  abandon (): Promise<void>
}

export interface PasswordGuess {
  /** The username, in any case of its letters. It may not exist, which makes no difference. */
  account: string
  ip: string | undefined
  /**
   * Resolves to true if the password of the account was proved at this place before. Called only if a limit that
   * strangers share is used up.
   */
  isKnownPlace: () => Promise<boolean>
}

/**
 * Limits how often something may be tried. Each method rejects with `too_many_requests` if a limit is used up. If
 * attempts cannot be counted together with other replicas, this replica counts them alone.
 */
export interface Limits {
  /**
   * Admits an attempt at a password, before the password is verified. The limits are by account, by IP and by both,
   * and for IPv6 also by network. Only wrong passwords use them up. An attempt that one limit refuses leaves the others
   * as they were.
   *
   * If only attempts under way fill a limit, it waits for them. After some seconds it rejects with `too_many_requests`.
   *
   * The limits by account alone and by network do not apply if `isKnownPlace` resolves to true. Strangers can use them
   * up, and would lock the owner out.
   *
   * An attempt that takes too long lapses, and counts as a wrong one.
   */
  attemptPassword (guess: PasswordGuess): Promise<PasswordAttempt>
  /** Counts a right password that opens a session. One account could fill the tables otherwise. */
  login (userId: string): Promise<void>
  /** Counts a registration, regardless of its outcome. */
  register (ip: string | undefined): Promise<void>
  /**
   * Counts a refresh, regardless of its outcome. Refreshes of a session that is over do not count for its account: a
   * thief may have its tokens.
   */
  refresh (session: { id: string, userId: string, isLive: boolean }): Promise<void>
  /**
   * Does an authentication of a client, which resolves to true if it was right. Only wrong ones count, by place. There
   * is no limit by client: strangers could use it up, and lock the client out. Once the limit is used up, right ones
   * are refused too, so a guesser learns nothing more.
   */
  attemptClient (ip: string | undefined, authenticate: () => Promise<boolean>): Promise<boolean>
}

export interface LimitsOptions {
  rateOf: (name: WindowLimitName) => RateLimit
  counterOf: (rate: RateLimit) => Counter
  room: WaitingRoom
  /** Makes names in keys unreadable. It must be the same for all replicas. */
  secret: Uint8Array
}

/** The cause of `service_unavailable` if an attempt has taken longer than its reservation was held. */
export class LapsedAttemptError extends Error {
  override readonly name = 'LapsedAttemptError'
}

/** The limits that strangers at other places can use up. */
const ofStrangers: string[] = ['password-by-account', 'password-by-network'] satisfies WindowLimitName[]

/** One limit, and the key under which it counts one attempt. */
interface Count {
  rate: RateLimit
  counter: Counter
  key: string
}

/** The id of a reservation that is never made. */
const notHeld = 'none'

const nameOf = ({ rate, key }: Count) => `${rate.name}:${key}`

export function createLimits ({ rateOf, counterOf, room, secret }: LimitsOptions): Limits {
  const limits = new Map(windowLimitNames.map(name => {
    const rate = rateOf(name)
    return [name, { rate, counter: counterOf(rate) }]
  }))
  const countOf = (name: WindowLimitName, key: string) => ({ ...limits.get(name) as Omit<Count, 'key'>, key })
  const hashAccount = createAccountHash(secret)

  async function settle (counts: Count[], id: string, isWrong: boolean): Promise<boolean> {
    const settlements = await Promise.all(counts.map(({ counter, key }) => counter.settle(key, id, isWrong)))
    for (const count of counts) room.wake(nameOf(count))
    return settlements.every(({ wasHeld }) => wasHeld)
  }

  /** Reserves a place in all of them, or in none. Returns the first that refuses, and its answer. */
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
    const { refused: { rate }, admission } = refusal
    if (admission.wrong < rate.attempts) return { busy: nameOf(refusal.refused) }
    // No place is reserved while the database is asked, which may take long.
    if (!ofStrangers.includes(rate.name) || !await isKnownPlace()) throw tooMany(rate, admission.windowMs)
    return await attempt(counts.filter(count => count.rate !== rate), isKnownPlace)
  }

  return {
    async attemptPassword ({ account, ip, isKnownPlace }) {
      const hash = hashAccount(account)
      const [place, network] = [placeOf(ip) ?? unknownPlace, networkOf(ip)]
      // From the narrowest to the widest: an attempt that is refused never holds a place in a limit that others share.
      const counts = [
        countOf('password-by-account-and-ip', `${hash}:${place}`),
        countOf('password-by-ip', place),
        ...network === place ? [] : [countOf('password-by-network', network)],
        countOf('password-by-account', hash)
      ]
      const names = counts.map(nameOf)
      const giveUp = (busy: string) => tooMany((counts[names.indexOf(busy)] as Count).rate, 0)
      return await room.run(names, network, () => attempt(counts, isKnownPlace), giveUp)
    },
    login: userId => count(countOf('login-by-account', userId)),
    async register (ip) {
      const [place, network] = [placeOf(ip) ?? unknownPlace, networkOf(ip)]
      await count(countOf('register-by-ip', place))
      if (network !== place) await count(countOf('register-by-network', network))
    },
    async refresh ({ id, userId, isLive }) {
      // From the narrowest to the widest, so that what one session is refused does not count for the others.
      await count(countOf('refresh-by-session', id))
      if (isLive) await count(countOf('refresh-by-account', userId))
    },
    attemptClient: (ip, authenticate) =>
      countWrong(countOf('client-by-ip', placeOf(ip) ?? unknownPlace), authenticate)
  }
}

/** Counts an attempt regardless of its outcome. */
async function count ({ rate, counter, key }: Count): Promise<void> {
  const { isAdmitted, windowMs } = await counter.count(key)
  if (!isAdmitted) throw tooMany(rate, windowMs)
}

/** Does an attempt, and counts it if it was wrong. */
async function countWrong (limit: Count, attempt: () => Promise<boolean>): Promise<boolean> {
  // A reservation that is not held settles nothing, and tells how much is used up. Real ones would fill the limit when
  // a gateway introspects many tokens at the same time.
  const read = limit.counter.settle(limit.key, notHeld, true)
  const [{ wrong, windowMs }, isRight] = await Promise.all([read, attempt()])
  if (wrong >= limit.rate.attempts) throw tooMany(limit.rate, windowMs)
  if (!isRight) await count(limit)
  return isRight
}

/** Limits that admit everything. */
export const noLimits: Limits = {
  attemptPassword: async () => toAttempt(async () => true),
  login: async () => {},
  register: async () => {},
  refresh: async () => {},
  attemptClient: (_ip, authenticate) => authenticate()
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

/** Returns the error for a limit that is used up. Seconds are rounded up, so that the window has passed after them. */
export function tooMany (limit: RateLimit, windowMs: number): SignoutError {
  return new SignoutError('too_many_requests', { limit, retryAfterSeconds: Math.max(1, Math.ceil(windowMs / 1000)) })
}

/** The number of characters of a hash of {@link createAccountHash}: 32 bytes in base64url. */
export const accountHashLength = 43

/**
 * Returns the hash that replaces usernames in keys. A username is personal data, and people type passwords in its
 * place. Redis must not reveal them. Without the secret, a hash of a text that short could be found by trying.
 */
export function createAccountHash (secret: Uint8Array): (account: string) => string {
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'signout accounts in limits', 32))
  return account => createHmac('sha256', key).update(foldCase(account)).digest('base64url')
}
