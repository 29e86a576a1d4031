import { EventEmitter } from 'node:events'

/** One command to Redis that carried the look-ups of one turn of the event loop. */
export interface LookUpBatch {
  /** The number of look-ups that it carried. */
  lookUps: number
  seconds: number
  /** The error with which it failed; undefined when it was answered. */
  error: unknown
}

/** A position in the record of that id. */
export interface RecordPosition {
  /** The id of the record. The record gets another one when it has lost its end. */
  recordId: string
  /** 0 is before the first row. */
  position: number
}

/** Revocations that the projector has written into the blocklist. */
export interface CatchUp {
  /** The position after which it began; undefined for a rebuild, which writes all live rows. */
  from: RecordPosition | undefined
  /** The position up to which the blocklist holds the record now. */
  to: RecordPosition
  /** The number of rows that were written. */
  entries: number
  seconds: number
}

/**
 * The reason why a marker was deleted. `evicted`: keys were evicted since it was set. `replaced`: keys may have been
 * evicted by a server that was restarted or replaced.
 */
export type Loss = 'evicted' | 'replaced'

/**
 * The trust in the answers of the blocklist. `trusted`: they count by the marker alone. `behind`: they count because
 * the record was asked as well. `untrusted`: they do not count.
 */
export type TrustState = 'trusted' | 'behind' | 'untrusted'

/** The number of seconds by which the clock of a kind of server is ahead of the clock of this machine. */
export interface ClockDifference {
  clock: string
  aheadSeconds: number
}

/** The purpose of a connection to Redis. */
export type ConnectionPurpose = 'look-ups' | 'projector' | 'replicated writes'

/** Everything that happens to the blocklist, by name: the payload, and when it is emitted. */
export interface BlocklistEvents {
  /** A batch of look-ups was answered, or failed, or was refused at once because Redis has not been answering. */
  lookedUp: [batch: LookUpBatch]
  /** Redis failed several times in a row. Look-ups fail at once from now on. */
  breakerOpened: []
  /** Redis answers again. */
  breakerClosed: []
  /** The trust in all shards together has changed. The reason is given if answers do not count any more. */
  trustChanged: [trust: TrustState, reason: string | undefined]
  /** The answers of one shard do not count any more. */
  shardUntrusted: []
  /** A marker was deleted, because Redis may have lost revocations. The projector writes everything again. */
  markerForgotten: [loss: Loss]
  /** A shard was moved to another server of the cluster, and keys may have been left behind. It is rebuilt. */
  shardMoved: [tag: string, reason: string]
  /** The marker of a moved shard was deleted, so that the projector rebuilds the shard. */
  shardReset: []
  /** The projector has written what the blocklist lacked. */
  caughtUp: [catchUp: CatchUp]
  /** The record has lost its end: the database was restored. It has a new id, and the blocklist is rebuilt. */
  recordRenamed: [marker: RecordPosition, head: RecordPosition]
  /** The projector cannot do its work. Emitted once, until it works again. */
  projectorFailed: [error: unknown]
  /** A connection to Redis was lost. */
  connectionLost: [purpose: ConnectionPurpose, error: Error]
  /** A connection to Redis is back. */
  connectionRestored: [purpose: ConnectionPurpose]
  /**
   * The audit found other flaws of Redis or of clocks than before; a sentence for each. Empty if all flaws are cured.
   */
  flawsFound: [descriptions: readonly string[]]
  /** A flaw that an operator has acknowledged was found at start. */
  flawAcknowledged: [description: string]
  /** Clocks began to differ, which the description says, or agree again. */
  clocksChanged: [description: string | undefined, clocks: readonly ClockDifference[]]
  /** The clock of this machine was set back, so that entries in memory may have ended early. */
  clockSetBack: []
}

/** Emits the events of a blocklist. Listeners run at once; they must be quick, and must not throw. */
export type BlocklistEmitter = EventEmitter<BlocklistEvents>

/**
 * Creates the emitter of a blocklist's events.
 *
 * @example
 * const events = createBlocklistEvents()
 * events.on('trustChanged', (trust, reason) => { console.log(trust, reason) })
 */
export function createBlocklistEvents (): BlocklistEmitter {
  return new EventEmitter<BlocklistEvents>()
}
