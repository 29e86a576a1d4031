import type { Protocol } from './protocol.ts'
import { idleTail, isCommitted, noMarker, replaceAt, type Log, type Redis, type State, type Step, type Tail } from './state.ts'

export const tailName = (index: number): string => `tail ${'AB'.charAt(index)}`

export const withTail = (state: State, index: number, tail: Tail): State => ({ ...state, tails: replaceAt(state.tails, index, tail) })

/** A name for a claim that nobody has. */
export function freshToken ({ redis, saved, tails }: State): number {
  return 1 + Math.max(redis.marker.claim, saved.marker.claim, ...tails.map(tail => tail.token))
}

/** While the tail holds the lock exclusively nobody else has a position that is not committed or rolled back. */
export const maySeeHead = (state: State, protocol: Protocol): boolean => !protocol.barrier || state.logouts.every(({ phase }) => phase !== 'open')

/** The first part of each script, and of each look-up that is not trusted: where keys were evicted since that was noted the marker is forgotten. */
export function checkEvictions (state: State, protocol: Protocol): State {
  if (!protocol.notesEvictions || state.redis.evicted === 0) return state
  return { ...state, redis: { ...state.redis, marker: noMarker, evicted: 0 } }
}

/** The marker is ahead of the log, or beyond all that was ever to be marked: it is of a log that Postgres has lost. */
export function isOfLostPast (log: Log, position: number, protocol: Protocol): boolean {
  return position > log.head || (protocol.recordsMarks && position > log.marked)
}

export function makeLogId (state: State, index: number, protocol: Protocol): Step {
  const logIds = protocol.logId ? state.logIds + 1 : state.logIds
  const label = `${tailName(index)} finds a marker of a log that Postgres has lost, and ${protocol.logId ? `makes log ${logIds}` : 'replays all'}`
  return { label, state: { ...withTail(state, index, idleTail), logIds, log: { ...state.log, id: logIds, marked: 0 } }, note: 'new log ids' }
}

export function refused (state: State, index: number): Step {
  return { label: `a script of ${tailName(index)} is refused, and it starts over`, state: withTail(state, index, idleTail), note: 'scripts refused' }
}

/** The next position after that one with a row in it that the tail can see; the head when there is none. */
export function nextPosition ({ logouts }: State, { position, head }: Tail): number {
  const positions = logouts.filter(logout => isCommitted(logout) && logout.position > position && logout.position <= head).map(logout => logout.position)
  return Math.min(head, ...positions)
}

/** Redis with the entry of the row at that position, if there is one. */
export function writeRow (state: State, position: number): Redis {
  const row = state.logouts.findIndex(logout => isCommitted(logout) && logout.position === position)
  return row < 0 ? state.redis : { ...state.redis, entries: state.redis.entries | 1 << row }
}
