import { createDraw } from '../../support/draw.ts'
import type { SharedCost } from './inputs.ts'

/** A replica under load, as it was simulated. */
export interface Turns {
  requestsPerSecond: number
  /** How much of its core the replica uses. */
  busyShare: number
  /** How many requests of one turn of the event loop a request finds itself among, on average. */
  together: number
}

/** Random numbers from 0 to below 1, the same ones each time. */
export function createRandom (seed: number): () => number {
  const draw = createDraw(seed)
  return () => draw(2 ** 32) / 2 ** 32
}

/** How long until the next of what comes at random, so many a second on average; in the unit of the inverse of the rate. */
export function nextAfter (rate: number, random: () => number): number {
  return -Math.log(1 - random()) / rate
}

/**
 * An event loop to which requests come at random. Each turn takes whatever has come during the one before, which takes its time; when
 * nothing has come it waits for the next. So a replica that has more to do asks for more at once, and asks more cheaply.
 */
export function simulateTurns (cost: SharedCost, requestsPerSecond: number, turns: number, seed: number): Turns {
  const random = createRandom(seed)
  const perMicro = requestsPerSecond / 1e6
  let [now, busy, requests, squares] = [0, 0, 0, 0]
  let next = nextAfter(perMicro, random)
  for (let turn = 0; turn < turns; turn++) {
    now = Math.max(now, next)
    let taken = 0
    for (; next <= now; next += nextAfter(perMicro, random)) taken++
    const micros = cost.togetherMicros + taken * cost.eachMicros
    now += micros
    busy += micros
    requests += taken
    squares += taken * taken
  }
  return { requestsPerSecond, busyShare: busy / now, together: squares / requests }
}

/** How many requests a second keep a replica so busy. The simulation is asked, by halving. */
export function findLoad (cost: SharedCost, busyShare: number, seed = 1): Turns {
  let [low, high] = [0, 1e6 / cost.eachMicros]
  let found = simulateTurns(cost, high / 2, 20_000, seed)
  for (let step = 0; step < 24; step++) {
    const rate = (low + high) / 2
    found = simulateTurns(cost, rate, 20_000, seed)
    if (found.busyShare > busyShare) high = rate
    else low = rate
  }
  return found
}
