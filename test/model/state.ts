import type { Protocol } from './protocol.ts'

/**
 * A state of the model: Postgres, Redis, the logouts, the projectors and one replica that looks tokens up, all as small
 * numbers. One such replica stands for any number: it only ever deletes a marker, so what one of them accepts does not
 * depend on the others.
 */
export interface State {
  /** Each ends one token, and is a writer of its own. They begin in order, since they do not differ otherwise. */
  readonly logouts: readonly Logout[]
  readonly record: Log
  /**
   * The greatest record id that was ever made. A restored Postgres does not know it, but a random id is never made
   * twice.
   */
  readonly recordIds: number
  readonly redis: Redis
  /** An earlier state of Redis: a snapshot, or how far a Redis replica has come. Empty at first. */
  readonly saved: Redis
  readonly projectors: readonly Projector[]
  readonly replica: Replica
  readonly redisFaultsLeft: number
  readonly postgresFaultsLeft: number
  readonly evictionsLeft: number
}

/**
 * From `committed` on, the command for Redis is under way. It may be executed now, late (answered 503 by then) or
 * never. `gone` was rolled back, or its row was lost.
 */
export const logoutPhases = ['idle', 'open', 'committed', 'recorded', 'answered', 'gone'] as const
export interface Logout { readonly phase: typeof logoutPhases[number], readonly position: number }

/**
 * The record in Postgres. `head` is the last value of the sequence, `marked` the greatest position a projector has said
 * it will mark.
 */
export interface Log { readonly id: number, readonly head: number, readonly marked: number }

/**
 * `entries` are bits, one for each logout. `evicted` is 1 from when keys were evicted until the count was compared with
 * the note.
 */
export interface Redis { readonly entries: number, readonly marker: Marker, readonly evicted: number }

/**
 * `draft` names a rebuild that is under way and has come to `position`; 0 if there is none. A missing marker is all
 * zeroes.
 */
export interface Marker { readonly recordId: number, readonly position: number, readonly draft: number }

export const projectorPhases = ['idle', 'read', 'writing'] as const
export interface Projector {
  readonly phase: typeof projectorPhases[number]
  /** The name of its draft in the marker; 0 when it has none. */
  readonly token: number
  readonly recordId: number
  /** The position of Redis that this projector last saw or wrote. */
  readonly position: number
  readonly head: number
}

export const replicaPhases = ['untrusted', 'waiting', 'trusted'] as const
export interface Replica {
  readonly phase: typeof replicaPhases[number]
  readonly recordId: number
  /** The position that the marker has to reach while it waits, and the one that it cannot be beyond. */
  readonly required: number
  readonly marked: number
  readonly ask: Ask
}

/**
 * A look-up whose marker is behind, until the record was asked. `lastRow` is the last row ever seen. `logouts` are
 * bits. If the record is asked after the look-up, they are the answered logouts whose entries it did not find. If the
 * record is asked first, they are those that it has.
 */
export interface Ask {
  readonly isOpen: number
  readonly recordId: number
  readonly position: number
  readonly logouts: number
  readonly lastRow: number
}
export const noAsk: Ask = { isOpen: 0, recordId: 0, position: 0, logouts: 0, lastRow: 0 }

export const noMarker: Marker = { recordId: 0, position: 0, draft: 0 }
export const emptyRedis: Redis = { entries: 0, marker: noMarker, evicted: 0 }
export const goneLogout: Logout = { phase: 'gone', position: 0 }
export const idleProjector: Projector = { phase: 'idle', token: 0, recordId: 0, position: 0, head: 0 }

export interface Bounds {
  readonly logouts: number
  readonly projectors: number
  readonly redisFaults: number
  readonly postgresFaults: number
  readonly evictions?: number
}

export function firstState (bounds: Bounds): State {
  return {
    logouts: Array.from({ length: bounds.logouts }, () => ({ phase: 'idle', position: 0 })),
    record: { id: 1, head: 0, marked: 0 },
    recordIds: 1,
    redis: emptyRedis,
    saved: emptyRedis,
    projectors: Array.from({ length: bounds.projectors }, () => idleProjector),
    replica: { phase: 'untrusted', recordId: 0, required: 0, marked: 0, ask: noAsk },
    redisFaultsLeft: bounds.redisFaults,
    postgresFaultsLeft: bounds.postgresFaults,
    evictionsLeft: bounds.evictions ?? 0
  }
}

/** One step of one actor. `violation` says what it broke; `note` is what a search counts. */
export interface Step {
  readonly label: string
  readonly state: State
  readonly violation?: string
  readonly note?: Note
}
export const notes = [
  'logouts answered 200', 'commands executed late', 'scripts refused', 'rebuilds', 'unrevoked tokens accepted',
  'revoked tokens refused', 'look-ups refused (503)', 'look-ups confirmed by the record', 'new record ids',
  'faults of Redis', 'Postgres restored', 'evictions'
] as const
export type Note = typeof notes[number]

export const isCommitted = ({ phase }: Logout): boolean =>
  phase === 'committed' || phase === 'recorded' || phase === 'answered'
export const has = (bits: number, index: number): boolean => (bits >> index & 1) === 1

/**
 * Returns the entries once that of a logout is written. An instant of everyone covers all earlier ones, which are those
 * of the logouts that began before.
 */
export function addEntry (entries: number, index: number, { everyone }: Protocol): number {
  if (everyone === undefined) return entries | 1 << index
  const covered = (1 << index + 1) - 1
  return everyone === 'greatest' ? entries | covered : covered
}

export function replaceAt<T> (items: readonly T[], index: number, item: T): T[] {
  const copy = items.slice()
  copy[index] = item
  return copy
}

/** Returns how many numbers {@link encode} makes of a state. */
export const lengthOf = ({ logouts, projectors }: Bounds): number => 26 + 2 * logouts + 5 * projectors

// All states, and their parts, are made by these functions, or with their properties in this order. The engine then
// gives them one shape, which makes a search twice as fast as with spreads.

export function changeState (state: State, change: Partial<State>): State {
  const copy: State = {
    logouts: state.logouts,
    record: state.record,
    recordIds: state.recordIds,
    redis: state.redis,
    saved: state.saved,
    projectors: state.projectors,
    replica: state.replica,
    redisFaultsLeft: state.redisFaultsLeft,
    postgresFaultsLeft: state.postgresFaultsLeft,
    evictionsLeft: state.evictionsLeft
  }
  return Object.assign(copy, change)
}

export function changeRedis ({ entries, marker, evicted }: Redis, change: Partial<Redis>): Redis {
  return Object.assign({ entries, marker, evicted }, change)
}

export function changeProjector (projector: Projector, change: Partial<Projector>): Projector {
  const { phase, token, recordId, position, head } = projector
  return Object.assign({ phase, token, recordId, position, head }, change)
}

/** Encodes a state as small numbers, which {@link decode} decodes. They are valid until the next call. */
export function encode (state: State): readonly number[] {
  const { record, redis, saved, replica, replica: { ask } } = state
  let at = 0
  const put = (number: number) => { encoded[at++] = number }
  put(record.id); put(record.head); put(record.marked); put(state.recordIds)
  put(redis.entries); put(redis.marker.recordId); put(redis.marker.position); put(redis.marker.draft)
  put(redis.evicted)
  put(saved.entries); put(saved.marker.recordId); put(saved.marker.position); put(saved.marker.draft)
  put(saved.evicted)
  put(replicaPhases.indexOf(replica.phase)); put(replica.recordId); put(replica.required); put(replica.marked)
  put(ask.isOpen); put(ask.recordId); put(ask.position); put(ask.logouts); put(ask.lastRow)
  put(state.redisFaultsLeft); put(state.postgresFaultsLeft); put(state.evictionsLeft)
  for (const logout of state.logouts) {
    put(logoutPhases.indexOf(logout.phase)); put(logout.position)
  }
  for (const projector of state.projectors) {
    put(projectorPhases.indexOf(projector.phase)); put(projector.token); put(projector.recordId)
    put(projector.position); put(projector.head)
  }
  if (encoded.length !== at) encoded.length = at
  return encoded
}

const encoded: number[] = []

export function decode (numbers: readonly number[], bounds: Bounds): State {
  let at = 0
  const next = () => numbers[at++] as number
  const redis = (): Redis => ({
    entries: next(), marker: { recordId: next(), position: next(), draft: next() }, evicted: next()
  })
  const record = { id: next(), head: next(), marked: next() }
  const recordIds = next()
  const [inRedis, saved] = [redis(), redis()]
  const replica: Replica = {
    phase: replicaPhases[next()] ?? 'untrusted',
    recordId: next(),
    required: next(),
    marked: next(),
    ask: { isOpen: next(), recordId: next(), position: next(), logouts: next(), lastRow: next() }
  }
  const [redisFaultsLeft, postgresFaultsLeft, evictionsLeft] = [next(), next(), next()]
  const logouts: Logout[] = []
  while (logouts.length < bounds.logouts) {
    logouts.push({ phase: logoutPhases[next()] ?? 'idle', position: next() })
  }
  const projectors: Projector[] = []
  while (projectors.length < bounds.projectors) {
    projectors.push({
      phase: projectorPhases[next()] ?? 'idle', token: next(), recordId: next(), position: next(), head: next()
    })
  }
  return {
    logouts,
    record,
    recordIds,
    redis: inRedis,
    saved,
    projectors,
    replica,
    redisFaultsLeft,
    postgresFaultsLeft,
    evictionsLeft
  }
}
