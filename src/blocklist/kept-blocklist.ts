import type { Projector } from '../record/projector.ts'
import type { Blocklist } from '../revocation/blocklist.ts'
import type { TrustStatus } from './status.ts'

/** The settings of the blocklist. */
export interface BlocklistConfig {
  /** By how many seconds clocks may differ. */
  leewaySeconds: number
  /** How long a look-up or a logout may take, in milliseconds. */
  deadlineMs: number
  /** In front of every key in Redis. */
  prefix: string
  /** How many Redis replicas must have a logout before it is answered. */
  waitReplicas: number
  /** Whether an operator says that a Redis which hides its eviction policy never evicts. */
  noevictionAcknowledged: 'yes' | 'no'
}

/** A blocklist, and the projector that keeps it up with the record. */
export interface KeptBlocklist {
  blocklist: Blocklist
  /** What its answers are worth; undefined where they always count. */
  status?: TrustStatus
  /** Undefined where there is no blocklist to keep up. */
  projector?: Projector
  close (): Promise<void>
}
