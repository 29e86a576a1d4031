import type { Config } from '../config.ts'
import type { Projector } from '../record/projector.ts'
import type { Blocklist } from '../revocation/blocklist.ts'
import type { RecordTrust } from '../trust/by-record.ts'

export interface BlocklistOptions {
  config: Pick<Config, 'storage' | 'CLOCK_LEEWAY' | 'BLOCKLIST_DEADLINE_MS' | 'BLOCKLIST_PREFIX' | 'BLOCKLIST_WAIT_REPLICAS' | 'REDIS_NOEVICTION_ACKNOWLEDGED'>
  /** Opens none, so that what is ended is recorded while Redis is away. Those that reach it bring it up with the record. */
  isAway?: boolean
}

/** A blocklist and what keeps it up with the record. */
export interface OpenedBlocklist {
  blocklist: Blocklist
  /** None where the blocklist is away. */
  projector?: Projector
  /** What judges its answers, where that is needed. */
  guard?: Pick<RecordTrust, 'trust' | 'positions' | 'progress'>
  close (): Promise<void>
}
