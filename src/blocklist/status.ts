import type { TrustState } from '../events/blocklist-events.ts'
import type { Progress } from '../record/projection.ts'
import type { Blocklist } from '../revocation/blocklist.ts'
import { withDeadline } from '../timing/deadline.ts'
import { UntrustedError } from '../trust/trust.ts'

/**
 * The states of a blocklist, by whether look-ups count.
 *
 * - `trusted`: they count.
 * - `behind`: they count. Redis lacks the newest revocations, and Postgres is asked about those.
 * - `rebuilding`: they do not count. Redis lacks revocations, and the projector is writing them.
 * - `untrusted`: they do not count. Redis may lack revocations.
 * - `unreachable`: they do not count. Redis does not answer.
 */
export const blocklistStates = ['trusted', 'behind', 'rebuilding', 'untrusted', 'unreachable'] as const
export type BlocklistState = typeof blocklistStates[number]

/** The state of a blocklist, for operators. */
export interface BlocklistStatus {
  state: BlocklistState
  /** The number of positions of the record that the blocklist lacks. Undefined while the head is unknown. */
  positionsBehind: number | undefined
  /** The progress of a rebuild that takes its time. Undefined if there is none. */
  progress: Progress | undefined
}

/** The trust in the answers of all shards together. */
export interface TrustStatus {
  readonly trust: TrustState
  /** The head of the record that was read last, and the position of the marker that is farthest behind. */
  readonly positions: { head: number | undefined, marker: number }
  readonly progress: Progress | undefined
}

/**
 * Reads the state of a blocklist, with a look-up of its own: without requests, the result of the last look-up may be
 * old. Never rejects.
 *
 * @param deadlineMs the longest wait, in milliseconds
 */
export async function readBlocklistStatus (
  blocklist: Blocklist,
  deadlineMs: number,
  status?: TrustStatus
): Promise<BlocklistStatus> {
  const error: unknown = await withDeadline(blocklist.ping(), deadlineMs).then(() => undefined, error => error)
  const { head, marker } = status?.positions ?? { head: undefined, marker: 0 }
  return {
    state: error === undefined && status?.trust === 'behind' ? 'behind' : toState(error),
    // The head is read once a second, and the marker may have passed it since.
    positionsBehind: head === undefined ? undefined : Math.max(0, head - marker),
    progress: status?.progress
  }
}

function toState (error: unknown): BlocklistState {
  if (error === undefined) return 'trusted'
  if (error instanceof UntrustedError) return error.isRebuilding ? 'rebuilding' : 'untrusted'
  return 'unreachable'
}
