import { SignoutError } from '../errors.ts'
import type { Login } from '../sessions/login.ts'

/** The results of a login. */
export const loginResults = [
  'succeeded', 'invalid_credentials', 'account_disabled', 'too_many_requests', 'unavailable', 'failed'
] as const
export type LoginResult = typeof loginResults[number]

/**
 * Returns a login that reports its result, and otherwise does as the one that it is given.
 *
 * @param onResult called once for each login, before it settles
 */
export function withResults (login: Login, onResult: (result: LoginResult) => void): Login {
  return async function reportedLogin (request, requester) {
    try {
      const pair = await login(request, requester)
      onResult('succeeded')
      return pair
    } catch (error) {
      onResult(resultOf(error))
      throw error
    }
  }
}

function resultOf (error: unknown): LoginResult {
  if (!(error instanceof SignoutError)) return 'failed'
  if (error.statusCode === 503) return 'unavailable'
  return loginResults.find(result => result === error.code) ?? 'failed'
}
