import type { Protocol } from './protocol.ts'
import type { Marker, State, Step, Tail } from './state.ts'
import { checkEvictions, freshToken, isOfLostPast, makeLogId, maySeeHead, nextPosition, refused, tailName, withTail, writeRow } from './tail-steps.ts'

/** The next step of a tail each of whose scripts writes rows and moves the marker past them, provided that the marker is what it expects. */
export function stepsOfTail (state: State, index: number, protocol: Protocol): Step[] {
  const tail = state.tails[index] as Tail
  if (tail.phase === 'idle') return [readMarker(checkEvictions(state, protocol), index, tail, protocol)]
  if (tail.phase === 'read') return readHead(state, index, tail, protocol)
  return [writeNext(checkEvictions(state, protocol), index, tail, protocol)]
}

/** One script: answers the marker of this log, and puts a claim in its place when there is none. */
function readMarker (state: State, index: number, tail: Tail, protocol: Protocol): Step {
  const { log, redis } = state
  const name = tailName(index)
  if (redis.marker.claim === 0 && redis.marker.logId === log.id) {
    const { position } = redis.marker
    if (isOfLostPast(log, position, protocol)) {
      if (protocol.logId) return makeLogId(state, index, protocol)
    } else {
      return { label: `${name} reads the marker ${log.id}:${position}`, state: withTail(state, index, { ...tail, phase: 'read', logId: log.id, position }) }
    }
  }
  if (!protocol.claims) return { label: `${name} finds no marker`, state: withTail(state, index, { ...tail, phase: 'read', token: 0, logId: log.id, position: 0 }) }
  const token = freshToken(state)
  const marker: Marker = { logId: 0, position: 0, claim: token }
  const found = redis.marker.claim === 0 && redis.marker.logId === log.id ? 'a marker ahead of Postgres' : `no marker of log ${log.id}`
  const label = `${name} finds ${found} and puts its claim there`
  return { label, state: { ...withTail(state, index, { ...tail, phase: 'read', token, logId: log.id }), redis: { ...redis, marker } }, note: 'full replays' }
}

function readHead (state: State, index: number, tail: Tail, protocol: Protocol): Step[] {
  const { head } = state.log
  if (!maySeeHead(state, protocol)) return []
  const full = tail.token !== 0 || (!protocol.claims && tail.position === 0)
  const label = `${tailName(index)} reads that the head is ${head}`
  if (!full && tail.position >= head) return [{ label, state: withTail(state, index, { ...tail, phase: 'idle', logId: 0, position: 0 }) }]
  const log = protocol.recordsMarks ? { ...state.log, marked: Math.max(state.log.marked, head) } : state.log
  return [{ label, state: { ...withTail(state, index, { ...tail, phase: 'writing', head }), log } }]
}

function writeNext (state: State, index: number, tail: Tail, protocol: Protocol): Step {
  if (!passes(state, tail, protocol)) return refused(state, index)
  const position = nextPosition(state, tail)
  const done = position === tail.head
  const marker: Marker = tail.token === 0 || done ? { logId: tail.logId, position, claim: 0 } : { logId: 0, position: protocol.tellsProgress ? position : 0, claim: tail.token }
  const next: Tail = done ? { phase: 'idle', token: 0, logId: 0, position: 0, head: 0 } : { ...tail, position }
  const moves = marker.claim === 0 ? `the marker to ${tail.logId}:${position}` : `its claim to position ${position}`
  const label = `${tailName(index)} ${position > 0 ? `writes the entries up to position ${position} and ` : ''}moves ${moves}`
  return { label, state: { ...withTail(state, index, next), redis: { ...writeRow(state, position), marker } } }
}

/** Whether the marker is what this tail last saw or put there. */
function passes ({ redis: { marker } }: State, tail: Tail, protocol: Protocol): boolean {
  if (!protocol.checks) return true
  if (tail.token !== 0) return marker.claim === tail.token && (!protocol.tellsProgress || marker.position === tail.position)
  if (tail.position === 0 && !protocol.claims && marker.logId === 0) return true
  return marker.claim === 0 && marker.logId === tail.logId && marker.position === tail.position
}
