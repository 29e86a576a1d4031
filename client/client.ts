import type { Client, ClientOptions } from './client-types.ts'
import { createEndings } from './session/endings.ts'
import { hasCode, readBody } from './http/errors.ts'
import { createExclusively } from './storage/locks.ts'
import { createPairStore } from './session/pair-store.ts'
import { isSignedIn } from './session/pair.ts'
import { createPresence } from './session/presence.ts'
import { isRepeatable, type Call } from './http/routes.ts'
import { createSend, sendRepeatedly } from './http/service.ts'
import { createSession } from './session/session.ts'
import { watch } from './storage/storage.ts'
import { monotonicClock } from './http/timing.ts'
import { createTokens } from './session/tokens.ts'

/**
 * Creates a client of the service. It continues the session in the storage, and goes on ending sessions that the user
 * has left. Otherwise it sends nothing before its first call.
 *
 * @example
 * const client = createClient({ baseUrl: 'https://auth.example.com', storage: webStorage(() => localStorage) })
 * await client.signIn({ username: 'ada', password })
 * const { sessions } = await client.request('GET /me/sessions')
 */
export function createClient (options: ClientOptions): Client {
  const { service, isCookie, presence, store, tokens, endings, session } = openParts(options)
  const goOn = () => { endings.run() }
  const look = () => { store.peek().catch(() => {}) }
  const stops = [options.storage.subscribe?.(look), watch('online', goOn)]
  look()
  goOn()
  return {
    signIn: (body, options) => session.replace({ route: 'POST /login', body }, options),
    signOut: async () => ({ server: await session.leave() ? 'ended' : 'pending' }),
    async signOutEverywhere ({ password, signal } = {}) {
      const body = password === undefined ? {} : { password }
      await session.end({ route: 'POST /logout', query: { scope: 'all' }, body }, { signal })
    },
    reauthenticate: (password, options) =>
      session.replace({ route: 'POST /reauthenticate', body: { password } }, options),
    changePassword: (body, options) => session.replace({ route: 'PUT /me/password', body }, options),
    deleteAccount: (password, options) => session.end({ route: 'DELETE /me', body: { password } }, options),
    async isSignedIn ({ signal } = {}) {
      const stored = await store.peek()
      if (stored !== undefined || !isCookie) return isSignedIn(stored)
      try {
        await tokens.usable(signal)
        return true
      } catch (error) {
        if (hasCode(error, 'signed_out')) return false
        throw error
      }
    },
    async request (route, ...[options]) {
      const { signal, ...parts } = options ?? {}
      const answer = await session.call({ route, ...parts } as Call, { signal })
      return (answer.status === 204 ? undefined : await readBody(answer)) as never
    },
    async fetch (input, init) {
      const first = new Request(input, init)
      const repeats = isRepeatable(`${first.method} /`)
      return await tokens.withToken((token, signals) => sendRepeatedly(service, signal => {
        const request = first.clone()
        request.headers.set('authorization', `Bearer ${token}`)
        return service.fetch(request, { signal })
      }, repeats, signals), first.signal)
    },
    subscribe: presence.subscribe,
    close () {
      for (const stop of stops) stop?.()
      endings.close()
    }
  }
}

/** Makes the parts of a client and connects them. */
function openParts (options: ClientOptions) {
  const { storage, name = 'signout', now = monotonicClock, timeoutMs = 10_000, retryWithinMs = 10_000 } = options
  const isCookie = options.credentials === 'cookie'
  const fetch: typeof globalThis.fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
  const service = { baseUrl: options.baseUrl, fetch, timeoutMs, retryWithinMs, now }
  const presence = createPresence()
  const exclusively = createExclusively(name, storage, now)
  const send = createSend(service)
  const store = createPairStore({
    key: `${name}:pair`,
    storage,
    exclusively,
    now,
    onSeen: presence.onSeen,
    onStorageFailed: error => { presence.emit({ type: 'storage_failed', error }) }
  })
  const tokens = createTokens({ store, exclusively, send, isCookie, untilSignedOut: presence.signal })
  const endings = createEndings({
    key: `${name}:ending`,
    storage,
    exclusively,
    send,
    isCookie,
    peek: store.peek,
    onEnded: () => { presence.emit({ type: 'ended_at_server' }) }
  })
  const session = createSession({ store, tokens, endings, presence, send, exclusively, isCookie })
  return { service, isCookie, presence, store, tokens, endings, session }
}
