import { readBody, SignoutError, toError } from '../http/errors.ts'
import type { Exclusively } from '../storage/locks.ts'
import type { PairStore } from './pair-store.ts'
import { hasTokens, isSame, isSignedIn, toEnd, toPair, type SignedIn, type Stored, type TokenAnswer } from './pair.ts'
import { anyOf, type Send } from '../http/service.ts'
import { abortable } from '../http/timing.ts'

/** Keeps the access token good. */
export interface Tokens {
  /** Returns the pair, renewed if its access token has expired. Rejects with `signed_out` if there is none. */
  usable (signal?: AbortSignal): Promise<SignedIn>
  /**
   * Sends a request with an access token. After a 401 it reads the storage again, renews the token once, and sends the
   * request again. Resolves to the last answer.
   *
   * @param send is called with a token, and the signals that abort the request: that of the caller, and one that is
   * aborted when the user is signed out
   */
  withToken (send: SendWithToken, signal?: AbortSignal): Promise<Response>
}

/** Sends a request with an access token. */
export type SendWithToken = (token: string, signals: Array<AbortSignal | undefined>) => Promise<Response>

export interface TokensOptions {
  store: PairStore
  exclusively: Exclusively
  send: Send
  isCookie: boolean
  /** Returns the signal that is aborted when the user is signed out. */
  untilSignedOut (): AbortSignal
}

export function createTokens ({ store, exclusively, send, isCookie, untilSignedOut }: TokensOptions): Tokens {
  let renewing: Promise<SignedIn> | undefined

  /** Asks for the next pair, unless another tab has it already. Only a 401 signs the user out. */
  async function exchange (stale: Stored): Promise<SignedIn> {
    // Without a fresh look, the refresh token might be one that another tab has spent, and look stolen.
    const present = await store.read()
    if (!isSame(present, stale) && isSignedIn(present)) return present
    if (!isSignedIn(present) && !(isCookie && present === undefined)) throw signedOut()
    const answer = await send(
      { route: 'POST /refresh', ...!isCookie && { body: { refresh_token: present?.refresh } } },
      { withCookie: isCookie, signals: [untilSignedOut()] }
    )
    if (answer.ok) return required(await store.replace(present, toPair(await readTokens(answer), isCookie, present)))
    const error = await toError(answer)
    // A 401 that is not of the service says nothing of the session.
    if (answer.status !== 401 || error.code === 'unexpected_answer') throw error
    return required(await store.replace(present, toEnd(present, 'ended_by_server')), error)
  }

  /** All requests of this tab wait for one refresh, and the lock makes those of other tabs wait. */
  async function renew (stale: Stored, signal: AbortSignal | undefined): Promise<SignedIn> {
    renewing ??= exclusively('refresh', () => exchange(stale)).finally(() => { renewing = undefined })
    return await abortable(renewing, signal)
  }

  async function usable (signal?: AbortSignal): Promise<SignedIn> {
    const pair = await store.peek()
    if (isSignedIn(pair) && !store.isExpired(pair)) return pair
    return await renew(pair, signal)
  }

  return {
    usable,
    async withToken (send, signal) {
      // The request is of the user who is signed in now: another tab may have changed that.
      const first = await store.peek()
      const signals = [untilSignedOut(), signal]
      const either = anyOf(signals)
      let pair = await usable(either)
      const isRenewed = !isSame(pair, first)
      let answer = await send(pair.access, signals)
      if (isRenewed || !await isTokenRefused(answer)) return answer
      const present = await store.peek()
      if (isSignedIn(present) && !isSame(present, pair)) {
        pair = present
        answer = await send(pair.access, signals)
        if (!await isTokenRefused(answer)) return answer
      }
      return await send((await renew(pair, either)).access, signals)
    }
  }
}

export const signedOut = (cause?: unknown) =>
  new SignoutError('signed_out', 'No user is signed in.', cause === undefined ? {} : { cause })

/** Returns the tokens in an answer. Rejects with `unexpected_answer` if it is not of the service. */
export async function readTokens (answer: Response): Promise<TokenAnswer> {
  const body = await readBody<Partial<TokenAnswer>>(answer)
  if (hasTokens(body)) return body
  throw new SignoutError('unexpected_answer', 'The answer has no tokens.', { status: answer.status })
}

function required (stored: Stored, cause?: unknown): SignedIn {
  if (!isSignedIn(stored)) throw signedOut(cause)
  return stored
}

/** Returns true for a 401 that a new access token can help. The other ones ask for the password. */
async function isTokenRefused (answer: Response): Promise<boolean> {
  if (answer.status !== 401) return false
  const { code } = await toError(answer.clone())
  return code !== 'insufficient_user_authentication'
}
