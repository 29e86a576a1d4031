/** Asks again and again until the answer is true; throws when it is not in time. */
export async function until (what: string, isSo: () => Promise<boolean> | boolean, withinMs = 10_000): Promise<void> {
  const giveUpAt = performance.now() + withinMs
  while (!await isSo()) {
    if (performance.now() > giveUpAt) throw new Error(`Not within ${withinMs} ms: ${what}.`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

/** What something answers or throws, and how long it took. */
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
