/** The part of fs-native-extensions that is used here; the package ships no types. */
declare module 'fs-native-extensions' {
  /**
   * Locks the whole file without waiting. Returns false if another process holds the lock. Closing the file releases
   * it.
   */
  export function tryLock (fd: number): boolean
  /** Locks the whole file. Waits while another process holds the lock. */
  export function waitForLock (fd: number): Promise<void>
}
