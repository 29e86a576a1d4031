/**
 * Asks again and again until the answer is true. Rejects if it takes too long.
 *
 * @param everyMs the pause between. By default it grows, so that a long wait leaves the cores to others
 */
export async function until (
  what: string, isSo: () => Promise<boolean> | boolean, withinMs = 10_000, everyMs?: number
): Promise<void> {
  const giveUpAt = performance.now() + withinMs
  for (let pauseMs = everyMs ?? 2; !await isSo(); pauseMs = everyMs ?? Math.min(1.3 * pauseMs, 40)) {
    if (performance.now() > giveUpAt) throw new Error(`Not within ${withinMs} ms: ${what}.`)
    await new Promise(resolve => setTimeout(resolve, pauseMs))
  }
}

/** A time that tests add to a promised one: so much longer may it take on a machine that is busy with other tests. */
export const busyMs = 5_000

/** Waits for a moment between two requests of a loop. Without it, the loop would keep a core busy for as long. */
export function breathe (): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, 2))
}

/** Runs work, and returns its result or its error, and how long it took. */
export async function timed<T> (
  work: () => Promise<T>
): Promise<{ value: T | undefined, error: unknown, elapsedMs: number }> {
  const startedAt = performance.now()
  try {
    const value = await work()
    return { value, error: undefined, elapsedMs: performance.now() - startedAt }
  } catch (error) {
    return { value: undefined, error, elapsedMs: performance.now() - startedAt }
  }
}
