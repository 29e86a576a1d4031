/** The operations of a user. Each is one request. */
export const operations = ['sign-in', 'token', 'me', 'sessions', 'refresh', 'logout', 'logout-everywhere'] as const
export type Operation = typeof operations[number]

/** The request of each operation. */
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
  /** A description without the shares. */
  about: string
  /**
   * The share of each operation, as a part of their sum. Signing in has no share: a user who is not signed in on all
   * devices does that next. Undefined if all users do the same at once.
   */
  shares: Partial<Record<Operation, number>> | undefined
  /** The number of devices on which a user is signed in at the same time. */
  devices: number
  /** Requests a second without `--rate`. Undefined for a closed loop. */
  ratePerSecond?: number
  /** The duration without `--duration`. */
  durationSeconds: number
}

/**
 * `GET /token` only checks the blocklist, as an API with the plugin does. `GET /me` also reads the database.
 *
 * In a day, a user makes some hundred requests, refreshes every quarter of an hour, and signs in and out once. That is
 * one logout in a thousand requests. Here there are ten, so that a minute has enough logouts, which are expensive and
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
    about: 'what users do, with a sign-in after each logout',
    shares: mixedShares,
    devices: 1,
    durationSeconds: 30
  },
  storm: {
    about: 'all users sign in at the same moment; then all log out at the same moment; and so on',
    shares: undefined,
    devices: 1,
    durationSeconds: 30
  },
  'logout-everywhere': {
    about: 'each user is signed in on 3 devices, and ends all three sessions at once',
    shares: { token: 94, 'logout-everywhere': 6 },
    devices: 3,
    durationSeconds: 30
  },
  soak: {
    about: 'like mixed, at 100 requests per second for an hour, unless --rate or --duration say otherwise',
    shares: mixedShares,
    devices: 1,
    ratePerSecond: 100,
    durationSeconds: 3600
  }
} satisfies Record<string, Profile>

export type ProfileName = keyof typeof profiles
export const profileNames = Object.keys(profiles) as ProfileName[]

/** Returns a profile in a sentence, for people. */
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

/**
 * Chooses an operation by its share.
 *
 * @param random from 0 to less than 1
 */
export function chooseOperation (shares: Partial<Record<Operation, number>>, random: number): Operation {
  const entries = Object.entries(shares) as [Operation, number][]
  let rest = random * entries.reduce((sum, [, share]) => sum + share, 0)
  for (const [operation, share] of entries) {
    if (rest < share) return operation
    rest -= share
  }
  return entries.at(-1)?.[0] as Operation
}
