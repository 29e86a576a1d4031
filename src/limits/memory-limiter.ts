import pLimit from 'p-limit'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'

/**
 * Counts in the memory of this process. What is counted is dropped when its window ends, by timers that do not keep the
 * process alive, and at once when nothing is left of it: a flood of attempts that were all given back leaves nothing.
 *
 * The library counts what it refuses, and goes below zero when something is given back after its window; both are undone
 * here. It looks and counts in steps, so operations take turns.
 */
export class MemoryLimiter extends RateLimiterMemory {
  readonly #inTurn = pLimit(1)

  override consume (key: string): Promise<RateLimiterRes> {
    return this.#inTurn(async () => {
      try {
        return await super.consume(key)
      } catch (refusal) {
        await super.reward(key)
        throw refusal
      }
    })
  }

  override reward (key: string): Promise<RateLimiterRes> {
    return this.#inTurn(async () => {
      const counted = await this.get(key)
      if (counted !== null && counted.consumedPoints > 1) return await super.reward(key)
      await this.delete(key)
      return new RateLimiterRes(this.points)
    })
  }
}
