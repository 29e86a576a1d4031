import type { ClientEvent } from '../client-types.ts'
import { isSignedIn, type Stored } from './pair.ts'
import { signedOut } from './tokens.ts'

/** Who is signed in, as far as this client has seen, and who listens to that. */
export interface Presence {
  /**
   * Compares a stored value with the one before. Tells the listeners, and aborts the requests of a user who has left.
   */
  onSeen (stored: Stored): void
  /** Returns the signal of the present user. It is aborted when this user is signed out, or another one signs in. */
  signal (): AbortSignal
  /** Aborts the requests under way. */
  abort (): void
  emit (event: ClientEvent): void
  subscribe (listener: (event: ClientEvent) => void): () => void
}

export function createPresence (): Presence {
  const listeners = new Set<(event: ClientEvent) => void>()
  let life = new AbortController()
  let seen: { stored: Stored } | undefined

  function abort (): void {
    life.abort(signedOut())
    life = new AbortController()
  }
  function emit (event: ClientEvent): void {
    for (const listener of [...listeners]) listener(event)
  }
  return {
    onSeen (stored) {
      const before = seen
      seen = { stored }
      if (before === undefined) return
      const wasSignedIn = isSignedIn(before.stored)
      if (wasSignedIn === isSignedIn(stored) && (!wasSignedIn || before.stored?.session === stored?.session)) return
      if (wasSignedIn) abort()
      if (isSignedIn(stored)) emit({ type: 'signed_in' })
      else emit({ type: 'signed_out', reason: stored?.end ?? 'signed_out' })
    },
    signal: () => life.signal,
    abort,
    emit,
    subscribe (listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}
