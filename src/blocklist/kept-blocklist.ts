import type { Config } from '../config.ts'
import type { Projector } from '../record/projector.ts'
import type { Blocklist } from '../revocation/blocklist.ts'
import type { TrustStatus } from './status.ts'

/** The settings of the blocklist, and the leeway of the clocks. */
export type BlocklistConfig = Config['blocklist'] & Config['clocks']

/** A blocklist, and the projector that copies the record to it. */
export interface KeptBlocklist {
  blocklist: Blocklist
  /** The trust in its answers. Undefined if the blocklist is not in Redis. */
  status?: TrustStatus
  /** Undefined if no blocklist was opened. */
  projector?: Projector
  close (): Promise<void>
}
