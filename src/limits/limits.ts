import { createHmac, hkdfSync } from 'node:crypto'
import { placeOf } from '../client.ts'
import { foldCase } from '../db/case-folding.ts'
import { SignoutError } from '../errors.ts'
import type { Counter } from './counter.ts'
import type { LimitName } from './rates.ts'

/** An attempt at a password that has been counted. What it took is given back once at most. */
export interface PasswordAttempt {
  /** The password was right. Gives back what the attempt took: only wrong passwords count. */
  succeed (): Promise<void>
  /** The password could not be checked, so nothing was learnt about it. Gives back what the attempt took. */
  abandon (): Promise<void>
}

export interface PasswordGuess {
  /** The username, in any case of its letters. There may be no such account: that makes no difference. */
  account: string
  ip: string | undefined
  /** Whether the account has signed in from there before. Only asked when the limit of the account alone is used up. */
  isKnownPlace: () => Promise<boolean>
}

/**
 * How often something may be tried. Each method rejects with `too_many_requests` where a limit is used up, and with
 * nothing else of its own: where attempts cannot be counted together with other replicas, they are counted alone.
 */
export interface Limits {
  /**
   * Counts an attempt at a password, before the password is verified, so that no number of guesses at the same time gets
   * through a limit. Three limits apply: by account, by IP and by both. An attempt that one of them refuses leaves the
   * others as they were.
   *
   * Where `isKnownPlace` answers true the limit by account alone does not apply: strangers can use it up, and would lock
   * the owner out.
   */
  attemptPassword (guess: PasswordGuess): Promise<PasswordAttempt>
  /** Counts a registration, whatever becomes of it. */
  register (ip: string | undefined): Promise<void>
  /** Counts a refresh, whatever becomes of it. */
  refresh (sessionId: string): Promise<void>
}

export interface LimitsOptions {
  counterOf: (name: LimitName) => Counter
  /** Keeps names in keys unreadable. The same for all replicas. */
  secret: string
}

/**
 * Where a proxy passes on what is no address. They share one place: to let them pass unlimited would invite everybody to
 * come without an address.
 */
const unknownPlace = 'unknown'

export function createLimits ({ counterOf, secret }: LimitsOptions): Limits {
  const byAccount = counterOf('password-by-account')
  const byIp = counterOf('password-by-ip')
  const byAccountAndIp = counterOf('password-by-account-and-ip')
  const registerByIp = counterOf('register-by-ip')
  const refreshBySession = counterOf('refresh-by-session')
  const hashAccount = createAccountHash(secret)
  return {
    async attemptPassword ({ account, ip, isKnownPlace }) {
      const hash = hashAccount(account)
      const place = placeOf(ip) ?? unknownPlace
      const ledger = createLedger()
      try {
        // From the narrowest to the widest: whoever is refused has not touched, for an instant even, what others share.
        await ledger.take(byAccountAndIp, `${hash}:${place}`)
        await ledger.take(byIp, place)
        await ledger.take(byAccount, hash).catch(async error => {
          if (!(error instanceof SignoutError && await isKnownPlace())) throw error
        })
      } catch (error) {
        await ledger.giveBack()
        throw error
      }
      return { succeed: ledger.giveBack, abandon: ledger.giveBack }
    },
    register: ip => registerByIp.take(placeOf(ip) ?? unknownPlace),
    refresh: sessionId => refreshBySession.take(sessionId)
  }
}

/** No limits at all. */
export const noLimits: Limits = {
  attemptPassword: async () => ({ succeed: async () => {}, abandon: async () => {} }),
  register: async () => {},
  refresh: async () => {}
}

/** What one attempt has taken from several counters. */
function createLedger () {
  const taken: Array<{ counter: Counter, key: string }> = []
  return {
    async take (counter: Counter, key: string): Promise<void> {
      await counter.take(key)
      taken.push({ counter, key })
    },
    async giveBack (): Promise<void> {
      await Promise.all(taken.splice(0).map(({ counter, key }) => counter.giveBack(key)))
    }
  }
}

/**
 * A username is personal data, and people type passwords where it belongs; what Redis holds must not tell either. Without
 * the secret, a hash of something that short could be found by trying.
 */
function createAccountHash (secret: string): (account: string) => string {
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'signout accounts in limits', 32))
  return account => createHmac('sha256', key).update(foldCase(account)).digest('base64url')
}
