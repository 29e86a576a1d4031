/** Draws a whole number from 0 to below a limit. A seed always gives the same numbers: mulberry32. */
export type Draw = (below: number) => number

export function createDraw (seed: number): Draw {
  let state = seed
  return below => {
    state = (state + 0x6D2B79F5) | 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) % below
  }
}

/** Returns one of several things. */
export function pick<T> (draw: Draw, things: readonly T[]): T {
  if (things.length === 0) throw new Error('There is nothing to choose from.')
  return things[draw(things.length)] as T
}
