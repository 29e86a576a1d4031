import { RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible'
import { SignoutError, type RateLimit } from '../errors.ts'

/** Counts attempts under one limit, each under the key of whoever makes it. */
export interface Counter {
  /**
   * Counts an attempt, atomically. Rejects with `too_many_requests` where the limit is used up; then nothing is counted,
   * and the window ends when it would have.
   */
  take (key: string): Promise<void>
  /** Takes back an attempt that was counted. Does nothing when its window has passed. */
  giveBack (key: string): Promise<void>
}

/** @param limiter of which `consume` counts nothing where it refuses, and `reward` never goes below zero */
export function createCounter (limit: RateLimit, limiter: RateLimiterAbstract): Counter {
  return {
    async take (key) {
      try {
        await limiter.consume(key)
      } catch (refusal) {
        if (!(refusal instanceof RateLimiterRes)) throw refusal
        // Rounded up, so that whoever waits that long finds the window passed.
        throw new SignoutError('too_many_requests', { limit, retryAfterSeconds: Math.max(1, Math.ceil(refusal.msBeforeNext / 1000)) })
      }
    },
    async giveBack (key) {
      await limiter.reward(key)
    }
  }
}
