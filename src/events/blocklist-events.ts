import { EventEmitter } from 'node:events'

/** One command to Redis that carried the look-ups of one turn of the event loop. */
export interface LookUpBatch {
  /** How many look-ups it carried. */
  lookUps: number
  seconds: number
  /** What it failed with; undefined when it was answered. */
  error: unknown
}

/** A place in the record of revocations: up to here, in that record. */
export interface RecordPosition {
  /** Names the record. It gets another id when it loses its end. */
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
  /** Rows of the record. */
  entries: number
  seconds: number
}

/** Why a marker was forgotten: keys were evicted since it was set; or may have been, by a server that is gone. */
export type Loss = 'evicted' | 'replaced'

/**
 * What the answers of the blocklist are worth. `trusted`: they count by the marker alone. `behind`: they count because
 * the record was asked as well. `untrusted`: they do not count.
 */
export type TrustState = 'trusted' | 'behind' | 'untrusted'

/** By how many seconds the clock of a kind of server is ahead of this machine's. */
export interface ClockDifference {
  clock: string
  aheadSeconds: number
}

/** What a connection to Redis is for. */
export type ConnectionPurpose = 'look-ups' | 'projector' | 'replicated writes'

/** Everything that happens to the blocklist, by name: the payload, and when it is emitted. */
export interface BlocklistEvents {
  /** A batch of look-ups was answered, or failed, or was refused at once because Redis has not been answering. */
  lookedUp: [batch: LookUpBatch]
  /** Redis failed several times in a row. Look-ups fail at once from now on. */
  breakerOpened: []
  /** Redis answers again. */
  breakerClosed: []
  /** The answers of all shards together became worth something else. The reason is there when they do not count. */
  trustChanged: [trust: TrustState, reason: string | undefined]
  /** The answers of one shard do not count any more. */
  shardUntrusted: []
  /** A marker was forgotten, because Redis may have lost revocations. The projector writes everything again. */
  markerForgotten: [loss: Loss]
  /** A shard was moved to another server of the cluster, and keys may have been left behind. It is rebuilt. */
  shardMoved: [tag: string, reason: string]
  /** The marker of a moved shard is gone, so that the projector rebuilds the shard. */
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
  /** The audit found other flaws of Redis or of clocks than before; a sentence for each. None: all flaws are gone. */
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
