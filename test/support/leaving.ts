import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { signIn } from './people.ts'
import { untilAccepted } from './replicas.ts'
import { get, logOut, outcome } from './requests.ts'
import { until } from './wait.ts'

/** Users who sign in and out all the time, each time at another replica. */
export interface Leaving {
  /** The answers to logouts. */
  said: Set<string>
  /** The answers to requests with a token whose logout was answered 200 before. */
  later: Set<string>
  /** The tokens that were to be logged out. */
  tokens: string[]
  stop (): Promise<void>
}

export function keepLeaving (apps: FastifyInstance[], usernames: string[]): Leaving {
  const said = new Set<string>()
  const later = new Set<string>()
  const tokens: string[] = []
  const over = new AbortController()
  async function comeAndGo (username: string): Promise<void> {
    for (let turn = 0; !over.signal.aborted; turn++) {
      const app = apps[turn % apps.length] as FastifyInstance
      // A login may be refused, while something happens.
      const pair = await signIn(app, username).catch(() => undefined)
      if (pair !== undefined) await leave(app, pair.access_token)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
  async function leave (app: FastifyInstance, token: string): Promise<void> {
    tokens.push(token)
    const answer = outcome(await logOut(app, token))
    said.add(answer)
    if (answer === '200') for (const other of apps) later.add(outcome(await get(other, '/token', token)))
  }
  const all = usernames.map(comeAndGo)
  return {
    said,
    later,
    tokens,
    async stop () {
      over.abort()
      await Promise.all(all)
    }
  }
}

const refused = ['401 token_revoked', '503 revocation_unavailable']

/**
 * Lets something happen while users sign in and out, and asserts that logouts hold.
 *
 * - A token whose logout was answered 200 is refused from then on.
 * - After that, all replicas refuse every token that was to be logged out.
 * - All replicas accept a good token, and a logout succeeds on each.
 */
export async function expectLogoutsToHold (
  t: Test,
  { apps, good, username }: { apps: FastifyInstance[], good: string, username: string },
  usernames: string[],
  happen: () => Promise<void>
): Promise<void> {
  const leaving = keepLeaving(apps, usernames)
  try {
    await until('somebody has left', () => leaving.said.has('200'))
    await happen()
    await untilAccepted(apps, good, 30_000)
    leaving.said.delete('200')
    await until('somebody leaves again', () => leaving.said.has('200'), 30_000)
  } finally {
    await leaving.stop()
  }
  t.same(
    [...leaving.later].filter(answer => !refused.includes(answer)), [], `later: ${[...leaving.later].join(', ')}`
  )
  t.same(
    [...leaving.said].filter(answer => !['200', '503 revocation_unavailable'].includes(answer)),
    [],
    `logouts got ${[...leaving.said].join(', ')}`
  )
  for (const app of apps) {
    // One after another: hundreds at once may all take longer than the deadline.
    for (const token of leaving.tokens) {
      await until('the record has come to the blocklist', async () =>
        outcome(await get(app, '/token', token)) === '401 token_revoked'
      )
    }
  }
  for (const app of apps) {
    await until('a logout succeeds', async () => {
      // A login may be refused too, while the service recovers.
      const pair = await signIn(app, username).catch(() => undefined)
      return pair !== undefined && (await logOut(app, pair.access_token)).statusCode === 200
    })
  }
}
