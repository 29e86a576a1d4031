import type { EventEmitter } from 'node:events'

export interface StopOptions {
  /**
   * Called at SIGTERM. Returns the time until `close` is called, in milliseconds, for which requests are served. 0
   * closes at once.
   */
  drain: () => number
  /** Stops the service, and ends the process. */
  close: () => void
  /** Emits the signals. Defaults to the process. For tests. */
  signals?: EventEmitter
  /** A monotonic clock, in milliseconds. For tests. */
  now?: () => number
}

/** A signal that follows within so many milliseconds is the same one: npm forwards what the terminal sent already. */
const sameSignalMs = 1_000

/**
 * Stops the service on SIGTERM, after a delay, and on SIGINT at once. A second signal, more than a second later, ends
 * the delay. One more ends the process with 1, even if requests are under way.
 */
export function stopOnSignals (
  { drain, close, signals = process, now = () => performance.now() }: StopOptions
): void {
  let lastAt = -Infinity
  let timer: NodeJS.Timeout | undefined
  let isClosing = false

  function closeNow (): void {
    clearTimeout(timer)
    isClosing = true
    close()
  }

  function onSignal (signal: NodeJS.Signals): void {
    const isRepeated = now() - lastAt < sameSignalMs
    lastAt = now()
    if (isRepeated) return
    if (isClosing) process.exit(1)
    const delayMs = signal === 'SIGINT' || timer !== undefined ? 0 : drain()
    if (delayMs === 0) closeNow()
    else timer = setTimeout(closeNow, delayMs)
  }

  signals.on('SIGTERM', onSignal).on('SIGINT', onSignal)
}
