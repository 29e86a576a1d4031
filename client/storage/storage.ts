/**
 * Where the client keeps its tokens. Each method may be synchronous or not. A method that throws signs no user out.
 *
 * Give one storage to all tabs, or to all processes, that share a session. Values are texts with secrets in them.
 *
 * @example
 * const keychainStorage: TokenStorage = {
 *   get: key => keychain.read(key), // resolves to null if there is none
 *   set: (key, value) => keychain.write(key, value),
 *   remove: key => keychain.delete(key)
 * }
 */
export interface TokenStorage {
  /** Returns the value of a key; `null` or `undefined` if there is none. */
  get (key: string): string | null | undefined | Promise<string | null | undefined>
  /** Stores a value. A reader must see the old value or the new one, and never a part of it. */
  set (key: string, value: string): unknown
  /** Deletes a key, if it is there. */
  remove (key: string): unknown
  /**
   * Calls the listener after another tab or process has changed something. Returns a function that ends this. Without
   * it, the client notices changes at its next request.
   */
  subscribe? (listener: () => void): () => void
}

/** The part of `localStorage` that the client uses. */
export interface WebArea {
  getItem (key: string): string | null
  setItem (key: string, value: string): void
  removeItem (key: string): void
}

/**
 * Creates a storage in the memory of this tab or process. A reload loses it. Clients that share it act as tabs do.
 *
 * @example
 * const client = createClient({ baseUrl, storage: memoryStorage() })
 */
export function memoryStorage (): TokenStorage {
  const values = new Map<string, string>()
  const listeners = new Set<() => void>()
  const changed = () => { for (const listener of listeners) listener() }
  return {
    get: key => values.get(key),
    set (key, value) {
      values.set(key, value)
      changed()
    },
    remove (key) {
      values.delete(key)
      changed()
    },
    subscribe (listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}

/**
 * Creates a storage in `localStorage`, which all tabs of an origin share, or in `sessionStorage`. A script that an
 * attacker injects into the page can read it.
 *
 * @example
 * const client = createClient({ baseUrl, storage: webStorage(() => localStorage) })
 *
 * @param area returns the area. It is a function because reading `localStorage` throws where a browser forbids it.
 */
export function webStorage (area: () => WebArea): TokenStorage {
  return {
    get: key => area().getItem(key),
    set: (key, value) => area().setItem(key, value),
    remove: key => area().removeItem(key),
    subscribe: listener => watch('storage', listener)
  }
}

/** Calls the listener at an event of the window, where there is one. Returns a function that ends this. */
export function watch (event: 'storage' | 'online', listener: () => void): () => void {
  const target = globalThis as unknown as Partial<EventTarget>
  target.addEventListener?.(event, listener)
  return () => { target.removeEventListener?.(event, listener) }
}
