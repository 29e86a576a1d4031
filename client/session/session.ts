import type { CallOptions } from '../client-types.ts'
import { toEnding, type Endings } from './endings.ts'
import { toAbortError, toError } from '../http/errors.ts'
import type { Exclusively } from '../storage/locks.ts'
import type { PairStore } from './pair-store.ts'
import { isSignedIn, toEnd, toPair } from './pair.ts'
import type { Presence } from './presence.ts'
import { isPublic, type Call } from '../http/routes.ts'
import type { Send } from '../http/service.ts'
import { readTokens, type Tokens } from './tokens.ts'

/** The acts of a user: requests, another session in the place of this one, and the sign-out. */
export interface Session {
  /** Sends a request of the user. Resolves to an answer with a status below 400, and rejects for every other one. */
  call (request: Call, options?: CallOptions): Promise<Response>
  /** Sends a request whose answer is a new pair, which takes the place of the present one. */
  replace (request: Call, options?: CallOptions): Promise<void>
  /** Sends a request that ends the session at the service, and then signs out here. */
  end (request: Call, options?: CallOptions): Promise<void>
  /** Signs out here, and then ends the session at the service. Resolves to true if the service has ended it. */
  leave (): Promise<boolean>
}

export interface SessionOptions {
  store: PairStore
  tokens: Tokens
  endings: Endings
  presence: Presence
  send: Send
  exclusively: Exclusively
  isCookie: boolean
}

/** The routes whose answers set or delete the cookie, beside the refresh. */
const setsCookie = /^POST \/(login|logout|reauthenticate)$|^PUT \/me\/password$/

export function createSession (options: SessionOptions): Session {
  const { store, tokens, endings, presence, send, exclusively, isCookie } = options

  async function call (request: Call, { signal }: CallOptions = {}): Promise<Response> {
    const withCookie = isCookie && setsCookie.test(request.route)
    const sendWith = (token: string | undefined, signals: Array<AbortSignal | undefined>) => {
      const attempt = () => send(request, { token, withCookie, signals })
      // Answers that set the cookie must come one after another, over all tabs.
      return withCookie ? exclusively('refresh', attempt) : attempt()
    }
    const answer = isPublic(request.route)
      ? await sendWith(undefined, [presence.signal(), signal])
      : await tokens.withToken(sendWith, signal)
    if (!answer.ok) throw await toError(answer)
    return answer
  }

  async function clear (): Promise<void> {
    await store.change(present =>
      isSignedIn(present) || (isCookie && present === undefined) ? toEnd(present, 'signed_out') : present)
  }

  return {
    call,
    async replace (request, options) {
      const signal = presence.signal()
      const isLogin = request.route === 'POST /login'
      const answer = await readTokens(await call(request, options))
      const { before, after } = await store.change(present =>
        signal.aborted ? present : toPair(answer, isCookie, isLogin ? undefined : present))
      if (after === before) {
        // The user has signed out meanwhile.
        await endings.add(toEnding(toPair(answer, isCookie)))
        endings.run()
        throw toAbortError(signal)
      }
      if (!isLogin || !isSignedIn(before)) return
      await endings.add(toEnding(before))
      endings.run()
    },
    async end (request, options) {
      await call(request, options)
      await clear()
    },
    async leave () {
      presence.abort()
      const present = await store.peek()
      // Stored first, so that a page that closes now does not forget it.
      if (isSignedIn(present)) await endings.add(toEnding(present))
      else if (isCookie && present === undefined) await endings.add({ session: '' })
      await clear()
      return await endings.run()
    }
  }
}
