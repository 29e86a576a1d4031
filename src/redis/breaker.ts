import type { RedisLink } from './link.ts'

/** What is refused at once, since what it would ask has not been answering. */
export class BreakerOpenError extends Error {
  override readonly name = 'BreakerOpenError'
  constructor () {
    super('The blocklist has not been answering. It is asked again several times a second.')
  }
}

/**
 * A circuit breaker: when something has failed several times in a row, asking it fails at once, but for one attempt at
 * a time that finds out whether it answers again. A blocklist that stalls costs a few requests its whole deadline, and
 * not all.
 */
export interface Breaker {
  readonly isOpen: boolean
  run<T> (ask: () => Promise<T>): Promise<T>
}

export interface BreakerOptions {
  onOpen?: () => void
  onClose?: () => void
  /** A clock that nobody sets, in milliseconds. */
  now?: () => number
}

const failuresToOpen = 3
/** How long after a failed probe the next one may be sent. */
const probeEveryMs = 100

export function createBreaker ({ onOpen, onClose, now = () => performance.now() }: BreakerOptions = {}): Breaker {
  let failures = 0
  let probeAt = 0
  let isProbing = false

  const isOpen = () => failures >= failuresToOpen

  async function attempt<T> (ask: () => Promise<T>): Promise<T> {
    try {
      const answer = await ask()
      if (isOpen()) onClose?.()
      failures = 0
      return answer
    } catch (error) {
      failures++
      probeAt = now() + probeEveryMs
      if (failures === failuresToOpen) onOpen?.()
      throw error
    }
  }

  return {
    get isOpen () { return isOpen() },
    async run (ask) {
      if (!isOpen()) return await attempt(ask)
      if (isProbing || now() < probeAt) throw new BreakerOpenError()
      isProbing = true
      try {
        return await attempt(ask)
      } finally {
        isProbing = false
      }
    }
  }
}

/** Returns a link whose reads and commands go through a breaker. Listeners and `close` stay those of the link. */
export function withBreaker (link: RedisLink, breaker: Breaker): RedisLink {
  return {
    get isReady () { return link.isReady },
    run: command => breaker.run(() => link.run(command)),
    read: keys => breaker.run(() => link.read(keys)),
    onChanged: listener => { link.onChanged(listener) },
    onTorn: listener => { link.onTorn(listener) },
    close: () => { link.close() }
  }
}
