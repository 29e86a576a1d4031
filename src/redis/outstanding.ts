import { withDeadline } from '../timing/deadline.ts'
import type { RedisLink } from './link.ts'

/**
 * Bounds what waits for a server that stalls: each wait by a deadline, and all of it by a number of keys. A deadline
 * alone is not enough, because a command whose caller has given up still occupies memory until it is answered, or until
 * its connection is closed.
 */
export interface Outstanding {
  /** The number of keys in commands that were sent and are not answered yet. */
  readonly keys: number
  /**
   * Runs a command. Rejects with a `DeadlineError` after the deadline, and at once, without calling `command`, while
   * too many keys are outstanding. The keys count until the promise of the command itself settles.
   */
  hold<T> (keys: number, command: () => Promise<T>): Promise<T>
}

/** Thrown instead of sending a command while too many wait for an answer. */
export class TooManyOutstandingError extends Error {
  override readonly name = 'TooManyOutstandingError'
  constructor (maxKeys: number) {
    super(`More than ${maxKeys} keys wait for an answer.`)
  }
}

/** The largest number of keys that wait for Redis. A server that answers within its deadline never reaches it. */
const defaultMaxKeys = 20_000

/**
 * Creates the bounds of one server.
 *
 * @param deadlineMs the longest wait of a caller, in milliseconds
 */
export function createOutstanding (deadlineMs: number, maxKeys = defaultMaxKeys): Outstanding {
  let outstanding = 0
  return {
    get keys () { return outstanding },
    async hold (keys, command) {
      if (outstanding + keys > maxKeys) throw new TooManyOutstandingError(maxKeys)
      outstanding += keys
      const answer = command()
      const release = () => { outstanding -= keys }
      answer.then(release, release)
      return await withDeadline(answer, deadlineMs)
    }
  }
}

/** Returns a link whose reads and commands are bounded. A command counts as one key. */
export function withBounds (link: RedisLink, outstanding: Outstanding): RedisLink {
  return {
    get isReady () { return link.isReady },
    run: command => outstanding.hold(1, () => link.run(command)),
    read: keys => outstanding.hold(keys.length, () => link.read(keys)),
    onChanged: listener => { link.onChanged(listener) },
    onTorn: listener => { link.onTorn(listener) },
    close: () => { link.close() }
  }
}
