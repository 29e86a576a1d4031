import { SignoutError } from '../../errors.ts'
import type { RedisConnections } from '../../redis/connections.ts'
import { openClient, type IoredisClient } from '../../redis/public-client.ts'
import type { Attached } from '../../redis/open-redis.ts'
import { withDeadline } from '../../timing/deadline.ts'

/** The connections of a blocklist, which are opened while the app starts. */
export interface OpeningConnections {
  /** For look-ups and revocations. Each of their commands must be bounded by the caller. */
  connections: RedisConnections
  /** Creates further connections, with a deadline of their own. */
  attach: Attached['attach']
  /**
   * Resolves when Redis is connected. Waits for the first connection for two seconds at most, and later not at all.
   * Rejects with `revocation_unavailable`, whose cause is the reason.
   */
  untilConnected (): Promise<void>
  /** Closes every connection that was opened here, and one that `createRedisConnection` made. */
  close (): void
}

/** The longest wait for the first connection, in milliseconds. */
const firstConnectionMs = 2_000

/** Opens connections to the Redis that a client leads to. Look-ups fail until they are open. */
export function openConnections (client: IoredisClient, deadlineMs: number): OpeningConnections {
  const { attach, close } = openClient(client)
  let reason: Error | undefined
  const connections = attach({ deadlineMs, isBoundElsewhere: true, onLost: error => { reason = error } })
  const connecting = connections.connect()
  // It is reported by `untilConnected`, and by each look-up.
  connecting.catch(() => {})
  return {
    connections,
    attach,
    async untilConnected () {
      if (connections.shards.every(({ link }) => link.isReady)) return
      try {
        await withDeadline(connecting, Math.max(firstConnectionMs, deadlineMs))
      } catch (error) {
        throw new SignoutError('revocation_unavailable', { cause: reason ?? error })
      }
    },
    close
  }
}
