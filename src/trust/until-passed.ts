/** The number of attempts. A process that has just started may be too busy to read an answer within the deadline. */
const attempts = 3

/**
 * Resolves when the clock of this process has passed an instant, so that tokens issued from now on are accepted.
 * Rejects when `find` fails three times in a row, and when the instant is farther ahead than the leeway explains.
 *
 * @param find looks up the instant, in seconds since the epoch. It may have moved meanwhile.
 */
export async function untilPassed (leewaySeconds: number, find: () => Promise<number>): Promise<void> {
  for (;;) {
    const waitMs = await tryAgain(find) * 1000 - Date.now()
    if (waitMs <= 0) return
    // The clock of Redis may be ahead of ours by one leeway, and the cut-off ahead of that by another, in whole
    // seconds.
    if (waitMs > (2 * leewaySeconds + 2) * 1000) {
      throw new Error(
        'The cut-off of the blocklist is further off than the leeway explains: the clock of Redis is ahead of this one, or was.'
      )
    }
    await new Promise(resolve => { setTimeout(resolve, waitMs) })
  }
}

async function tryAgain<T> (work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt === attempts) throw error
    }
  }
}
