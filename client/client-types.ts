import type { components } from './openapi.d.ts'
import type { SignoutError } from './http/errors.ts'
import type { SignedOutReason } from './session/pair.ts'
import type { Answer, Route, RouteOptions } from './http/routes.ts'
import type { TokenStorage } from './storage/storage.ts'

export type { SignedOutReason } from './session/pair.ts'

type Schemas = components['schemas']

/** How a client is set up. */
export interface ClientOptions {
  /** The address of the service: `https://auth.example.com`. In a page of the same origin, an empty text. */
  baseUrl: string
  /** Where the tokens are kept. Tabs or processes with the same storage share a session. */
  storage: TokenStorage
  /**
   * `cookie` leaves the refresh token to the browser, in a cookie that no script can read. The service needs
   * `COOKIES=on`. Default: `bearer`.
   */
  credentials?: 'bearer' | 'cookie'
  /**
   * How long a request is repeated while the answer is 429, 502, 503 or 504, or while there is none. In milliseconds;
   * 0 never repeats. Default: 10,000.
   */
  retryWithinMs?: number
  /** The longest wait for one answer, in milliseconds. Default: 10,000. */
  timeoutMs?: number
  /** The beginning of the keys in the storage. Two services in one storage need two names. Default: `signout`. */
  name?: string
  /** Sends the requests. Default: `fetch` of the runtime. */
  fetch?: typeof fetch
  /** A clock that only runs forward, in milliseconds. Default: `performance.now`. */
  now?: () => number
}

/** Options of every call. */
export interface CallOptions {
  /** Ends the call, and its waiting and repeating. It then rejects with `aborted`. */
  signal?: AbortSignal | undefined
}

/** Something that a listener is told. */
export type ClientEvent =
  /** A user signed in, here or in another tab. */
  | { type: 'signed_in' }
  /**
   * The user is signed out: by `signOut` here or in another tab (`signed_out`), or because the service has ended the
   * session (`ended_by_server`). Requests under way are aborted.
   */
  | { type: 'signed_out', reason: SignedOutReason }
  /** The service has ended a session that the user had left. */
  | { type: 'ended_at_server' }
  /** The tokens could not be stored. This client goes on with them until the page or the program ends. */
  | { type: 'storage_failed', error: SignoutError }

/** How far a sign-out has come. */
export interface SignOutResult {
  /**
   * `ended`: the service has ended the session, and every replica refuses its tokens. `pending`: the service is
   * unreachable. The client tries again, also after a reload, and then emits `ended_at_server`.
   */
  server: 'ended' | 'pending'
}

/** A client of the service. Its methods reject with {@link SignoutError}. */
export interface Client {
  /**
   * Signs a user in. A session that this client had is left, and ended.
   *
   * @example
   * await client.signIn({ username: 'ada', password })
   */
  signIn (credentials: Schemas['Credentials'], options?: CallOptions): Promise<void>

  /**
   * Signs the user out. The tokens are gone at once, also without a network, and requests under way are aborted.
   * Resolves when the service has ended the session, or as soon as that fails. Rejects only with `storage_failed`, if
   * the storage could never be read: then it is not known who is signed in.
   *
   * @example
   * const { server } = await client.signOut()
   * if (server === 'pending') show('You are signed out here. The server follows when there is a network.')
   */
  signOut (): Promise<SignOutResult>

  /**
   * Ends all sessions of the user, on all devices. Rejects with `insufficient_user_authentication` if the password was
   * proved too long ago: ask for it, and call this again with it. Then nothing has ended.
   *
   * @example
   * await client.signOutEverywhere({ password })
   */
  signOutEverywhere (options?: CallOptions & { password?: string }): Promise<void>

  /**
   * Proves the password again, which some requests need. The session is replaced by a new one.
   *
   * @example
   * await client.reauthenticate(password)
   */
  reauthenticate (password: string, options?: CallOptions): Promise<void>

  /**
   * Changes the password. Every session ends, and this client gets a new one.
   *
   * @example
   * await client.changePassword({ current_password: old, new_password: next })
   */
  changePassword (change: Schemas['PasswordChange'], options?: CallOptions): Promise<void>

  /**
   * Deletes the account of the user, who is then signed out.
   *
   * @example
   * await client.deleteAccount(password)
   */
  deleteAccount (password: string, options?: CallOptions): Promise<void>

  /**
   * Returns true if a user is signed in, as far as this client knows without a request. In cookie mode, the first call
   * after a reload refreshes: only the service knows the cookie.
   *
   * @example
   * if (!await client.isSignedIn()) showLogin()
   */
  isSignedIn (options?: CallOptions): Promise<boolean>

  /**
   * Sends a request to the service, and resolves to the body of the answer. The access token is renewed if necessary.
   *
   * @example
   * const { sessions } = await client.request('GET /me/sessions')
   * await client.request('DELETE /me/sessions/{id}', { path: { id } })
   */
  request<R extends Route> (
    route: R,
    ...options: {} extends RouteOptions<R> ? [(RouteOptions<R> & CallOptions)?] : [RouteOptions<R> & CallOptions]
  ): Promise<Answer<R>>

  /**
   * Sends a request to an API of your own with the access token. It takes what the global `fetch` takes, and resolves
   * to the answer with any status. Only use it for addresses that may see the token.
   *
   * @example
   * const response = await client.fetch('https://api.example.com/orders')
   */
  fetch (input: string | URL | Request, init?: RequestInit): Promise<Response>

  /**
   * Calls the listener at each event. Returns a function that ends this.
   *
   * @example
   * const stop = client.subscribe(event => {
   *   if (event.type === 'signed_out') showLogin(event.reason)
   * })
   */
  subscribe (listener: (event: ClientEvent) => void): () => void

  /**
   * Ends the timers and the subscription of this client. The user stays signed in.
   *
   * @example
   * client.close()
   */
  close (): void
}
