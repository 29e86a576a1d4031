import type { Redis } from 'ioredis'
import { toPlainError } from './connection.ts'

/**
 * The way to the server that has a part of the blocklist: one connection at a time, to one server or, in a cluster, to
 * whichever has that part now. What was learnt over it is worth nothing any more once it has changed.
 */
export interface RedisLink {
  /** Whether there is a connection, and it can be used. */
  readonly isReady: boolean
  /**
   * Runs a command on the connection of now, at once. Rejects as the command does, but without its arguments; and when
   * there is no connection, or when the server says that it does not have this part.
   */
  run<T> (command: (redis: Redis) => Promise<T>): Promise<T>
  /** The values of keys, by one command. */
  read (keys: string[]): Promise<Array<string | null>>
  /** Told whenever a connection was made or lost, or leads to another server, or may. */
  onChanged (listener: (isReady: boolean) => void): void
  /** Told when keys of this part may have been left behind while the part was moved to another server. */
  onTorn (listener: (reason: string) => void): void
  close (): void
}

/** The way to a server over a connection of its own. */
export function linkTo (redis: Redis): RedisLink {
  return {
    get isReady () { return redis.status === 'ready' },
    run: command => plainly(() => command(redis)),
    read: keys => plainly(() => redis.mget(keys)),
    onChanged (listener) {
      redis.on('ready', () => { listener(true) })
      redis.on('close', () => { listener(false) })
    },
    // The only server there is has everything.
    onTorn () {},
    close () { redis.disconnect() }
  }
}

/**
 * Runs a script of ours. ioredis sends its digest, and the script itself only to a server that does not know it yet.
 */
export function runScript<T> (
  redis: Redis,
  name: string,
  lua: string,
  keys: string[],
  args: Array<string | number>
): Promise<T> {
  if (!(name in redis)) redis.defineCommand(name, { lua })
  const commands = redis as unknown as Record<string, (keyCount: number, ...rest: Array<string | number>) => Promise<T>>
  return (commands[name] as typeof commands[string]).call(redis, keys.length, ...keys, ...args)
}

/** Settles as the command does, and rejects without its arguments. */
async function plainly<T> (command: () => Promise<T>): Promise<T> {
  try {
    return await command()
  } catch (error) {
    throw toPlainError(error as Error)
  }
}

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
