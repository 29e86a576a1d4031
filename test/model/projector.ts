import type { Protocol } from './protocol.ts'
import {
  changeProjector, changeRedis, changeState, type Marker, type State, type Step, type Projector
} from './state.ts'
import {
  checkEvictions, freshToken, isOfLostPast, makeRecordId, maySeeHead, nextPosition, refused, projectorName,
  withProjector, writeRow
} from './projector-steps.ts'

/**
 * Returns the next step of a projector. Each of its scripts writes a row and moves the marker past it, unless another
 * projector or a rebuild has changed the marker.
 */
export function stepsOfProjector (state: State, index: number, protocol: Protocol): Step[] {
  const projector = state.projectors[index] as Projector
  if (projector.phase === 'idle') return [readMarker(checkEvictions(state, protocol), index, projector, protocol)]
  if (projector.phase === 'read') return readHead(state, index, projector, protocol)
  return [writeNext(checkEvictions(state, protocol), index, projector, protocol)]
}

/** One script: reads the marker of this record, or puts a draft in its place. */
function readMarker (state: State, index: number, projector: Projector, protocol: Protocol): Step {
  const { record, redis } = state
  const name = projectorName(index)
  if (redis.marker.draft === 0 && redis.marker.recordId === record.id) {
    const { position } = redis.marker
    if (isOfLostPast(record, position, protocol)) {
      if (protocol.recordId) return makeRecordId(state, index, protocol)
    } else {
      return {
        label: `${name} reads the marker ${record.id}:${position}`,
        state: withProjector(state, index, changeProjector(projector, { phase: 'read', recordId: record.id, position }))
      }
    }
  }
  if (!protocol.drafts) {
    const reading = changeProjector(projector, { phase: 'read', token: 0, recordId: record.id, position: 0 })
    return { label: `${name} finds no marker`, state: withProjector(state, index, reading) }
  }
  const token = freshToken(state)
  const marker: Marker = { recordId: 0, position: 0, draft: token }
  const found =
    redis.marker.draft === 0 && redis.marker.recordId === record.id
      ? 'a marker ahead of Postgres'
      : `no marker of record ${record.id}`
  const label = `${name} finds ${found} and puts its draft there`
  return {
    label,
    state: changeState(
      withProjector(state, index, changeProjector(projector, { phase: 'read', token, recordId: record.id })),
      { redis: changeRedis(redis, { marker }) }
    ),
    note: 'rebuilds'
  }
}

function readHead (state: State, index: number, projector: Projector, protocol: Protocol): Step[] {
  const { head } = state.record
  if (!maySeeHead(state, protocol)) return []
  const full = projector.token !== 0 || (!protocol.drafts && projector.position === 0)
  const label = `${projectorName(index)} reads that the head is ${head}`
  if (!full && projector.position >= head) {
    const idle = changeProjector(projector, { phase: 'idle', recordId: 0, position: 0 })
    return [{ label, state: withProjector(state, index, idle) }]
  }
  const { id, marked } = state.record
  const record = protocol.recordsMarks ? { id, head, marked: Math.max(marked, head) } : state.record
  const writing = withProjector(state, index, changeProjector(projector, { phase: 'writing', head }))
  return [{ label, state: changeState(writing, { record }) }]
}

function writeNext (state: State, index: number, projector: Projector, protocol: Protocol): Step {
  if (!passes(state, projector, protocol)) return refused(state, index)
  const position = nextPosition(state, projector)
  const done = position === projector.head
  const marker: Marker =
    projector.token === 0 || done
      ? { recordId: projector.recordId, position, draft: 0 }
      : { recordId: 0, position: protocol.tellsProgress ? position : 0, draft: projector.token }
  const next: Projector = done
    ? { phase: 'idle', token: 0, recordId: 0, position: 0, head: 0 }
    : changeProjector(projector, { position })
  const moves =
    marker.draft === 0 ? `the marker to ${projector.recordId}:${position}` : `its draft to position ${position}`
  const label =
    `${projectorName(index)} ${position > 0 ? `writes the entries up to position ${position} and ` : ''}moves ${moves}`
  const redis = changeRedis(writeRow(state, position, protocol), { marker })
  return { label, state: changeState(withProjector(state, index, next), { redis }) }
}

/** Returns true if the marker is what this projector last saw or put there. */
function passes ({ redis: { marker } }: State, projector: Projector, protocol: Protocol): boolean {
  if (!protocol.checks) return true
  if (projector.token !== 0) {
    return marker.draft === projector.token && (!protocol.tellsProgress || marker.position === projector.position)
  }
  if (projector.position === 0 && !protocol.drafts && marker.recordId === 0) return true
  return marker.draft === 0 && marker.recordId === projector.recordId && marker.position === projector.position
}
