import type { Protocol } from './protocol.ts'
import {
  addEntry, changeRedis, changeState, idleProjector, isCommitted, noMarker, replaceAt,
  type Log, type Redis, type State, type Step, type Projector
} from './state.ts'

export const projectorName = (index: number): string => `projector ${'AB'.charAt(index)}`

export const withProjector = (state: State, index: number, projector: Projector): State =>
  changeState(state, { projectors: replaceAt(state.projectors, index, projector) })

/** Returns a draft name that is not in use. */
export function freshToken ({ redis, saved, projectors }: State): number {
  return 1 + Math.max(redis.marker.draft, saved.marker.draft, ...projectors.map(projector => projector.token))
}

/** True if a projector may read the head: with the barrier, only while no position is uncommitted. */
export const maySeeHead = (state: State, protocol: Protocol): boolean =>
  !protocol.barrier || state.logouts.every(({ phase }) => phase !== 'open')

/**
 * Returns the state after the first part of each script, and of each look-up that is not trusted. If keys were evicted
 * since the note, the marker is deleted.
 */
export function checkEvictions (state: State, protocol: Protocol): State {
  if (!protocol.notesEvictions || state.redis.evicted === 0) return state
  return changeState(state, { redis: changeRedis(state.redis, { marker: noMarker, evicted: 0 }) })
}

/**
 * Returns true if Postgres has lost the record of a marker: the marker is beyond the head, or beyond what was ever to
 * be marked.
 */
export function isOfLostPast (record: Log, position: number, protocol: Protocol): boolean {
  return position > record.head || (protocol.recordsMarks && position > record.marked)
}

export function makeRecordId (state: State, index: number, protocol: Protocol): Step {
  const recordIds = protocol.recordId ? state.recordIds + 1 : state.recordIds
  const label =
    `${projectorName(index)} finds a marker of a record that Postgres has lost, and ${protocol.recordId ? `makes record ${recordIds}` : 'rebuilds all'}`
  return {
    label,
    state: changeState(withProjector(state, index, idleProjector), {
      recordIds, record: { id: recordIds, head: state.record.head, marked: 0 }
    }),
    note: 'new record ids'
  }
}

export function refused (state: State, index: number): Step {
  return {
    label: `a script of ${projectorName(index)} is refused, and it starts over`,
    state: withProjector(state, index, idleProjector),
    note: 'scripts refused'
  }
}

/**
 * Returns the next position with a committed row, up to the head that the projector has read. Returns that head if
 * there is none.
 */
export function nextPosition ({ logouts }: State, { position, head }: Projector): number {
  const positions = logouts
    .filter(logout => isCommitted(logout) && logout.position > position && logout.position <= head)
    .map(logout => logout.position)
  return Math.min(head, ...positions)
}

/** Returns Redis with the entry of the row at a position, if there is one. */
export function writeRow (state: State, position: number, protocol: Protocol): Redis {
  const row = state.logouts.findIndex(logout => isCommitted(logout) && logout.position === position)
  return row < 0 ? state.redis : changeRedis(state.redis, { entries: addEntry(state.redis.entries, row, protocol) })
}
