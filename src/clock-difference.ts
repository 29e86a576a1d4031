/**
 * By how much a clock differs from this machine's at the least, in milliseconds: it was read somewhere between the question
 * and the answer.
 *
 * @param readClock asks for it, in milliseconds since the epoch
 * @param now this machine's, likewise
 */
export async function measureClockDifference (readClock: () => Promise<number>, now: () => number = Date.now): Promise<number> {
  const before = now()
  const theirs = await readClock()
  const after = now()
  return Math.max(0, before - theirs, theirs - after)
}
