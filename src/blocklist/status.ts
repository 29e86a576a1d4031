import type { TrustState } from '../events/blocklist-events.ts'
import type { Progress } from '../record/projection.ts'
import type { Blocklist } from '../revocation/blocklist.ts'
import { withDeadline } from '../timing/deadline.ts'
import { UntrustedError } from '../trust/trust.ts'

/**
 * Whether look-ups count now. `behind`: they do, but Redis lacks the newest revocations, and the record is asked about
 * those. `rebuilding`, `untrusted` and `unreachable`: they do not, because revocations are missing, may be missing, or
 * Redis does not answer.
 */
export const blocklistStates = ['trusted', 'behind', 'rebuilding', 'untrusted', 'unreachable'] as const
export type BlocklistState = typeof blocklistStates[number]

/** The state of a blocklist, for operators. */
export interface BlocklistStatus {
  state: BlocklistState
  /** How many positions of the record the blocklist lacks, as far as is known. */
  positionsBehind: number | undefined
  /** How far a rebuild has come, while there is one that takes its time. */
  progress: Progress | undefined
}

/** What the answers of all shards together are worth. */
export interface TrustStatus {
  readonly trust: TrustState
  /** The head of the record that was read last, and the position of the marker that is farthest behind. */
  readonly positions: { head: number | undefined, marker: number }
  readonly progress: Progress | undefined
}

/**
 * Asks a blocklist for its state. The last answer is not enough: where nobody signs in, it may be old.
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
