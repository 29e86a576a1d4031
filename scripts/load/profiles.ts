/** What a user does. Each is one request. */
export const operations = ['sign-in', 'token', 'me', 'sessions', 'refresh', 'logout', 'logout-everywhere'] as const
export type Operation = typeof operations[number]

/** What an operation is to the target. */
export const requestLines: Record<Operation, string> = {
  'sign-in': 'POST /login',
  token: 'GET /token',
  me: 'GET /me',
  sessions: 'GET /me/sessions',
  refresh: 'POST /refresh',
  logout: 'POST /logout',
  'logout-everywhere': 'POST /logout?scope=all'
}

export interface Profile {
  /** What it is, before its shares. */
  about: string
  /**
   * How often each operation is chosen, as parts of their sum. Signing in has no share: whoever is not signed in, or
   * not on all devices, does that next. Undefined where everybody does the same at once.
   */
  shares: Partial<Record<Operation, number>> | undefined
  /** On how many devices a user is signed in at the same time. */
  devices: number
  /** Requests a second when `--rate` is left out; undefined: closed loop. */
  ratePerSecond?: number
  /** How long it lasts when `--duration` is left out. */
  durationSeconds: number
}

/**
 * `GET /token` asks the blocklist alone, as a request to any API does that uses the plugin; `GET /me` asks the database
 * too.
 *
 * In a day a user makes some hundred requests, refreshes every quarter of an hour, and signs in and out once. That
 * would be one logout in a thousand requests. There are ten here, so that a minute has enough of what is expensive and
 * checked.
 */
const mixedShares = { token: 720, me: 210, sessions: 30, refresh: 30, logout: 9, 'logout-everywhere': 1 }

export const profiles = {
  read: {
    about: 'requests with a token',
    shares: { token: 80, me: 20 },
    devices: 1,
    durationSeconds: 30
  },
  mixed: {
    about: 'what people do, with a sign-in after each logout',
    shares: mixedShares,
    devices: 1,
    durationSeconds: 30
  },
  storm: {
    about: 'everybody signs in at the same moment; once all are in, everybody logs out at the same moment; and again',
    shares: undefined,
    devices: 1,
    durationSeconds: 30
  },
  'logout-everywhere': {
    about: 'each user is signed in on 3 devices, and logs out on all of them at once',
    shares: { token: 94, 'logout-everywhere': 6 },
    devices: 3,
    durationSeconds: 30
  },
  soak: {
    about: 'as mixed, but at 100 requests a second for an hour unless told otherwise',
    shares: mixedShares,
    devices: 1,
    ratePerSecond: 100,
    durationSeconds: 3600
  }
} satisfies Record<string, Profile>

export type ProfileName = keyof typeof profiles
export const profileNames = Object.keys(profiles) as ProfileName[]

/** A profile in a sentence, for people. */
export function describeProfile (name: ProfileName): string {
  const { about, shares }: Profile = profiles[name]
  return shares === undefined ? about : `${about}: ${describeShares(shares)}`
}

export function describeShares (shares: Partial<Record<Operation, number>>): string {
  const entries = Object.entries(shares) as [Operation, number][]
  const sum = entries.reduce((sum, [, share]) => sum + share, 0)
  return entries
    .map(([operation, share]) => `${Number((100 * share / sum).toFixed(2))} % ${requestLines[operation]}`)
    .join(', ')
}

/** Chooses an operation by its share. @param random from 0 to less than 1 */
export function chooseOperation (shares: Partial<Record<Operation, number>>, random: number): Operation {
  const entries = Object.entries(shares) as [Operation, number][]
  let rest = random * entries.reduce((sum, [, share]) => sum + share, 0)
  for (const [operation, share] of entries) {
    if (rest < share) return operation
    rest -= share
  }
  return entries.at(-1)?.[0] as Operation
}
