import type { Blocklist } from '../revocation/blocklist.ts'
import { withDeadline } from '../timing/deadline.ts'
import { UntrustedError, type RecordTrust } from '../trust/by-record.ts'
import type { Progress } from '../record/projection.ts'

/**
 * Whether look-ups count now. `behind`: they do, but Redis lacks the newest revocations, and the record is asked about those.
 * `rebuilding`, `untrusted` and `unreachable`: they do not, since revocations are missing, or may be, or nothing is answered.
 */
export const blocklistStates = ['trusted', 'behind', 'rebuilding', 'untrusted', 'unreachable'] as const
export type BlocklistState = typeof blocklistStates[number]

/** How a blocklist is, for those who look after it. */
export interface BlocklistStatus {
  state: BlocklistState
  /** How many positions of the record it lacks, as far as is known. */
  positionsBehind: number | undefined
  /** How far a rebuild has come, while there is one that takes its time. */
  progress: Progress | undefined
}

/**
 * Asks a blocklist how it is. What it was found to be last is not enough: where nobody signs in, nobody has asked for long.
 *
 * @param deadlineMs how long it may take, in milliseconds
 */
export async function readBlocklistStatus (blocklist: Blocklist, deadlineMs: number, guard?: Pick<RecordTrust, 'trust' | 'positions' | 'progress'>): Promise<BlocklistStatus> {
  const error: unknown = await withDeadline(blocklist.ping(), deadlineMs).then(() => undefined, error => error)
  const { head, marker } = guard?.positions ?? { head: undefined, marker: 0 }
  return {
    state: error === undefined && guard?.trust === 'behind' ? 'behind' : toState(error),
    // The head is read once a second, and the marker may have passed it since.
    positionsBehind: head === undefined ? undefined : Math.max(0, head - marker),
    progress: guard?.progress
  }
}

function toState (error: unknown): BlocklistState {
  if (error === undefined) return 'trusted'
  if (error instanceof UntrustedError) return error.isRebuilding ? 'rebuilding' : 'untrusted'
  return 'unreachable'
}
