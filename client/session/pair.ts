/** The tokens of a session, as they are stored. In cookie mode the browser has the refresh token. */
export interface SignedIn {
  /** A random name for the sign-in. It stays the same when the tokens are renewed. */
  session: string
  /** Counts the changes of this sign-in. The larger number is the newer one. */
  serial: number
  access: string
  refresh?: string | undefined
  /** The lifetime of the access token in seconds, from when it was received. */
  expiresIn: number
}

/** Why a user is not signed in any more: the user signed out, or the service has ended the session. */
export type SignedOutReason = 'signed_out' | 'ended_by_server'

/** Stored in the place of the tokens when a session is over, so that other tabs learn the reason. */
export interface SignedOut {
  session: string
  serial: number
  end: SignedOutReason
}

export type Stored = SignedIn | SignedOut | undefined

/** The body of an answer with tokens. Cookie mode has no refresh token in it. */
export interface TokenAnswer {
  access_token: string
  expires_in: number
  refresh_token?: string
}

export const isSignedIn = (stored: Stored): stored is SignedIn => stored !== undefined && 'access' in stored

/** Returns true if nothing has changed between the two. */
export const isSame = (a: Stored, b: Stored): boolean => a?.session === b?.session && a?.serial === b?.serial

/** Returns true for an answer with tokens. */
export const hasTokens = (answer: Partial<TokenAnswer>): answer is TokenAnswer =>
  typeof answer.access_token === 'string' && typeof answer.expires_in === 'number'

/** Returns the next pair of a session, or the first one of a new session. */
export function toPair (answer: TokenAnswer, isCookie: boolean, before?: Stored): SignedIn {
  return {
    session: before?.session ?? Math.random().toString(36).slice(2),
    serial: (before?.serial ?? 0) + 1,
    access: answer.access_token,
    refresh: isCookie ? undefined : answer.refresh_token,
    expiresIn: answer.expires_in
  }
}

/** Returns the end of a session. It is newer than every pair that was stored before. */
export const toEnd = (before: Stored, end: SignedOutReason): SignedOut =>
  ({ session: before?.session ?? '', serial: (before?.serial ?? 0) + 1, end })
