/** The part of fs-native-extensions that is used here; the package ships no types. */
declare module 'fs-native-extensions' {
  /** Locks the whole file without waiting; false when somebody else has it. Released when the file is closed. */
  export function tryLock (fd: number): boolean
  /** Locks the whole file, once whoever else has it lets go of it. */
  export function waitForLock (fd: number): Promise<void>
}
