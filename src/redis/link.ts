import type { Redis } from 'ioredis'
import { toPlainError } from './connection.ts'

/**
 * The link to the server that has a shard: one connection at a time. In a cluster it leads to the server that has the
 * shard now. What was learnt on a connection becomes void when the link changes.
 */
export interface RedisLink {
  /** True if there is a connection that can be used. */
  readonly isReady: boolean
  /**
   * Runs a command on the present connection, at once. Rejects as the command does, with an error that does not carry
   * its arguments. Also rejects when there is no connection, and when the server does not have the shard.
   */
  run<T> (command: (redis: Redis) => Promise<T>): Promise<T>
  /** Reads the values of keys with one command. Rejects as `run` does. */
  read (keys: string[]): Promise<Array<string | null>>
  /** Adds a listener. It is called when the connection opens, closes, or may now lead to another server. */
  onChanged (listener: (isReady: boolean) => void): void
  /** Adds a listener. It is called when keys of the shard may have been left behind while its slot was moved. */
  onTorn (listener: (reason: string) => void): void
  close (): void
}

/** Returns the link to a server over a connection of its own. */
export function linkTo (redis: Redis): RedisLink {
  return {
    get isReady () { return redis.status === 'ready' },
    run: command => plainly(() => command(redis)),
    read: keys => plainly(() => redis.mget(keys)),
    onChanged (listener) {
      redis.on('ready', () => { listener(true) })
      redis.on('close', () => { listener(false) })
    },
    // Never called: a single server has all keys.
    onTorn () {},
    close () { redis.disconnect() }
  }
}

/**
 * Runs one of our Lua scripts. ioredis sends its digest, and the script itself only to a server that does not know it
 * yet.
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

/** Thrown at once while a breaker is open. */
export class BreakerOpenError extends Error {
  override readonly name = 'BreakerOpenError'
  constructor () {
    super('The blocklist has not been answering. It is asked again several times a second.')
  }
}

/**
 * A circuit breaker. After several failures in a row it is open, and calls fail at once. One probe at a time finds out
 * whether Redis answers again. So a blocklist that stalls costs only a few requests their whole deadline.
 */
export interface Breaker {
  readonly isOpen: boolean
  /** Rejects as `ask` does, or with a {@link BreakerOpenError} without calling it. */
  run<T> (ask: () => Promise<T>): Promise<T>
}

export interface BreakerOptions {
  onOpen?: () => void
  onClose?: () => void
  /** A monotonic clock, in milliseconds. */
  now?: () => number
}

const failuresToOpen = 3
/** The pause after a failed probe, in milliseconds. */
const probeEveryMs = 100

/** Creates a breaker, which is closed at first. */
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
