import { createRandom, nextAfter } from './turns.ts'

/** How people use a service. All of it is an assumption, and stands in docs/capacity.md as one. */
export interface Habits {
  /** How often a user signs in a day. */
  signInsPerDay: number
  /** How long a visit takes on average, in seconds. */
  visitSeconds: number
  /** How many of the visits end with a logout. */
  logoutShare: number
  /** How often somebody sends a request who is there, in seconds. */
  secondsBetweenRequests: number
  /** How much more there is at the busiest time of a day than on average. */
  peakFactor: number
}

export interface Lifetimes {
  accessTokenSeconds: number
  leewaySeconds: number
}

/** What a simulated crowd has come to at its busiest time. */
export interface Crowd {
  /** How many are there at a time. */
  online: number
  requestsPerSecond: number
  signInsPerSecond: number
  refreshesPerSecond: number
  logoutsPerSecond: number
  /** Logouts whose entries are in the blocklist at a time. */
  liveLogouts: number
}

/** The entries of a logout last as long as the newest access token of the session could, and a margin for clocks. */
const leeways = 3
/** So long that what is looked at is as full as it gets. */
const warmUpVisits = 8
const watchedSeconds = 4 * 3_600

/**
 * People who come at random, stay for a random time, refresh whenever their access token runs out, and leave, some of them by
 * logging out. What is there at a time is watched for some hours, after as long as it takes to fill up.
 */
export function simulateCrowd (users: number, habits: Habits, { accessTokenSeconds, leewaySeconds }: Lifetimes, seed: number): Crowd {
  const random = createRandom(seed)
  const signInsPerSecond = users * habits.signInsPerDay * habits.peakFactor / 86_400
  const begin = warmUpVisits * habits.visitSeconds + accessTokenSeconds
  const end = begin + watchedSeconds
  const watched = (from: number, to: number) => Math.max(0, Math.min(to, end) - Math.max(from, begin))
  const isWatched = (at: number) => at >= begin && at < end
  let [present, signIns, refreshes, logouts, listed] = [0, 0, 0, 0, 0]
  for (let arrived = nextAfter(signInsPerSecond, random); arrived < end; arrived += nextAfter(signInsPerSecond, random)) {
    const left = arrived + nextAfter(1 / habits.visitSeconds, random)
    present += watched(arrived, left)
    if (isWatched(arrived)) signIns++
    let expires = arrived + accessTokenSeconds
    for (; expires < left; expires += accessTokenSeconds) if (isWatched(expires)) refreshes++
    if (random() >= habits.logoutShare) continue
    if (isWatched(left)) logouts++
    listed += watched(left, expires + leeways * leewaySeconds)
  }
  const each = (sum: number) => sum / watchedSeconds
  return {
    online: each(present),
    requestsPerSecond: each(present) / habits.secondsBetweenRequests,
    signInsPerSecond: each(signIns),
    refreshesPerSecond: each(refreshes),
    logoutsPerSecond: each(logouts),
    liveLogouts: each(listed)
  }
}

/** The same for more users than are worth simulating one by one: so many times as much of everything. */
export function scale (crowd: Crowd, factor: number): Crowd {
  return Object.fromEntries(Object.entries(crowd).map(([name, value]) => [name, value * factor])) as unknown as Crowd
}
