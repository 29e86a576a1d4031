import { randomUUID } from 'node:crypto'
import { createSigner } from 'fast-jwt'
import { refuseUnknown, requireNumber, requireText, shown } from '../../src/input/check-options.ts'
import type { Blocklist, BlocklistSettings } from '../../src/revocation/blocklist.ts'
import { createMemoryBlocklist } from '../../src/revocation/memory-blocklist.ts'

/** A blocklist in memory whose faults a test chooses. */
export interface TestBlocklist extends Blocklist {
  /** From now on it does not answer, like a Redis that hangs. Requests get 503 after `deadlineMs`. */
  stall (): void
  /** From now on it rejects at once, like a lost connection. Requests get 503. */
  lose (): void
  /** From now on it answers after this many milliseconds. A delay of at least `deadlineMs` is a 503. */
  delay (delayMs: number): void
  /** It answers at once again. What was asked during a stall stays without an answer. */
  recover (): void
}

/**
 * Creates a blocklist for tests. It works like `createMemoryBlocklist`, and can be made to fail. As in Redis without a
 * record, a token without an `iat` is refused.
 *
 * @param settings those of every blocklist. `deadlineMs` defaults to 50 here, so that a test of a stall is quick.
 * @example
 * const blocklist = createTestBlocklist()
 * await app.register(auth, { blocklist, jwt: { secret } })
 * blocklist.stall()
 * const { statusCode } = await app.inject({ url: '/secret', headers: tokens.headers({ sub: 'ada' }) }) // 503
 */
export function createTestBlocklist (settings: BlocklistSettings = {}): TestBlocklist {
  const memory = createMemoryBlocklist({ deadlineMs: 50, ...settings })
  let before: () => Promise<void> | undefined = () => undefined

  /** Does work after the chosen fault. */
  function faulty<A extends unknown[], R> (work: (...args: A) => R | Promise<R>): (...args: A) => Promise<R> {
    return async (...args) => {
      await before()
      return await work(...args)
    }
  }

  const { isRevoked, revokeSubject, revokeEveryone, ready } = memory
  // As in Redis without a record: a token of an unknown age may be from before a loss.
  const refuses: Blocklist['isRevoked'] = (claims, kid) => claims.iat === undefined || isRevoked(claims, kid)
  return {
    ...memory,
    revoke: faulty(memory.revoke),
    ping: faulty(memory.ping),
    // Without a fault it needs no promise, as in memory.
    isRevoked: (claims, kid) => {
      const fault = before()
      return fault === undefined ? refuses(claims, kid) : fault.then(() => refuses(claims, kid))
    },
    ...revokeSubject && { revokeSubject: faulty(revokeSubject) },
    ...revokeEveryone && { revokeEveryone: faulty(revokeEveryone) },
    ...ready && { ready: faulty(ready) },
    stall () { before = () => new Promise<void>(() => {}) },
    lose () { before = () => Promise.reject(new Error('The test blocklist has lost its connection.')) },
    delay (delayMs) {
      requireNumber('delayMs', delayMs, 'milliseconds', 0, 60_000)
      before = () => new Promise<void>(resolve => { setTimeout(resolve, delayMs) })
    },
    recover () { before = () => undefined }
  }
}

/** Options of {@link createTestTokens}. */
export interface TestTokensOptions {
  /** The secret of the app, for tokens that are signed with HS256. */
  secret: string
  /** Claims of every token, such as `iss` and `aud`. */
  claims?: Record<string, unknown>
  /** The lifetime of a token, in seconds. Defaults to 900. */
  lifetimeSeconds?: number
}

/** Makes tokens for tests. */
export interface TestTokens {
  /**
   * Returns a token with these claims. It has a `jti`, a `sid`, an `iat` of now and an `exp`, unless they are given.
   * `undefined` leaves a claim out.
   */
  issue (claims?: Record<string, unknown>): string
  /** Returns the header of a request with such a token. */
  headers (claims?: Record<string, unknown>): { authorization: string }
}

/**
 * Creates a factory of tokens for the tests of an app. No login is needed.
 *
 * Throws a TypeError if an option is wrong.
 *
 * @example
 * const tokens = createTestTokens({ secret })
 * const expired = tokens.issue({ sub: 'ada', exp: 1 })
 */
export function createTestTokens (options: TestTokensOptions): TestTokens {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`createTestTokens takes its options as an object, and was given ${shown(options)}.`)
  }
  refuseUnknown(options, ['secret', 'claims', 'lifetimeSeconds'])
  const { secret, claims: shared, lifetimeSeconds = 900 } = options
  requireText('secret', secret, 'the secret of the app')
  requireNumber('lifetimeSeconds', lifetimeSeconds, 'seconds', 1, 315_576_000)
  const sign = createSigner({ key: secret, algorithm: 'HS256' })
  function issue (claims?: Record<string, unknown>): string {
    const iat = Math.floor(Date.now() / 1000)
    return sign({ jti: randomUUID(), sid: randomUUID(), iat, exp: iat + lifetimeSeconds, ...shared, ...claims })
  }
  return { issue, headers: claims => ({ authorization: `Bearer ${issue(claims)}` }) }
}

/** A clock that a test moves. */
export interface TestClock {
  /** Returns the time, in milliseconds since the epoch. */
  now (): number
  /** Moves the clock. A negative number moves it back. */
  advanceSeconds (seconds: number): void
  /** Gives `Date.now` of the process back. */
  restore (): void
}

/**
 * Creates a clock, and puts it in the place of `Date.now` of this process, by which tokens and entries expire. It runs
 * on from the moment of its creation. Create it before the blocklist and the app, which keep the function. Timers,
 * `performance.now()` and `new Date()` are not moved. Restore it after the test.
 *
 * Throws an Error while another test clock is in place.
 *
 * @example
 * const clock = createTestClock()
 * clock.advanceSeconds(900) // the token has expired
 * clock.restore()
 */
export function createTestClock (): TestClock {
  if (replaced !== undefined) throw new Error('Another test clock is in place: restore it first.')
  const real = replaced = Date.now
  let offsetMs = 0
  const now = () => real() + offsetMs
  Date.now = now
  return {
    now,
    advanceSeconds (seconds) {
      requireNumber('seconds', seconds, 'seconds', -315_576_000, 315_576_000)
      offsetMs += seconds * 1000
    },
    restore () {
      if (Date.now !== now) return
      Date.now = real
      replaced = undefined
    }
  }
}

/** `Date.now` of the process while a test clock is in its place. */
let replaced: (() => number) | undefined
