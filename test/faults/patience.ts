import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { get, logOut, outcome } from '../support/requests.ts'
import { until } from '../support/wait.ts'

/**
 * Asserts that replicas refuse a revoked token for good. On a busy machine, answers of Redis may miss a short deadline
 * of the test. Requests then get 503, which is right, and are repeated.
 */
export async function expectRefused (t: Test, apps: readonly FastifyInstance[], token: string): Promise<void> {
  for (const app of apps) {
    const said = new Set<string>()
    await until('it is refused', async () =>
      said.add(outcome(await get(app, '/token', token))).has('401 token_revoked')
    )
    said.delete('503 revocation_unavailable')
    t.same([...said], ['401 token_revoked'])
  }
}

/**
 * Logs a token out, and repeats that after a 503, as a client does. The token gets 401 if a logout without an answer
 * took effect.
 */
export async function untilLoggedOut (app: FastifyInstance, token: string): Promise<void> {
  await until('a logout succeeds', async () => [200, 401].includes((await logOut(app, token)).statusCode))
}

/** Repeats work on a healthy server until it does not fail, and returns its result. */
export async function untilAnswered<T> (work: () => Promise<T> | T): Promise<T> {
  const results: T[] = []
  await until('it is answered', async () => {
    try {
      results.push(await work())
      return true
    } catch {
      return false
    }
  })
  return results[0] as T
}
