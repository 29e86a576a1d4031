import type { Config } from '../config.ts'
import type { Projector } from '../record/projector.ts'
import type { Blocklist } from '../revocation/blocklist.ts'
import type { TrustStatus } from './status.ts'

/** The settings of the blocklist, and the leeway of the clocks. */
export type BlocklistConfig = Config['blocklist'] & Config['clocks']

/** A blocklist, and the projector that keeps it up with the record. */
export interface KeptBlocklist {
  blocklist: Blocklist
  /** What its answers are worth; undefined where they always count. */
  status?: TrustStatus
  /** Undefined where there is no blocklist to keep up. */
  projector?: Projector
  close (): Promise<void>
}
