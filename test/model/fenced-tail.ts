import type { Protocol } from './protocol.ts'
import { tailPhases, type Marker, type State, type Step, type Tail } from './state.ts'
import { freshToken, isOfLostPast, makeLogId, maySeeHead, nextPosition, refused, tailName, withTail, writeRow } from './tail-steps.ts'

/** The next step of a tail that claims Redis by a token, writes the rows, and moves the marker in the end. */
export function stepsOfFencedTail (state: State, index: number, protocol: Protocol): Step[] {
  const tail = state.tails[index] as Tail
  const steps: Record<typeof tailPhases[number], () => Step[]> = {
    idle: () => [claim(state, index, tail)],
    ready: () => [readMarker(state, index, tail)],
    read: () => readHead(state, index, tail, protocol),
    missed: () => readHead(state, index, tail, protocol),
    writing: () => [writeNext(state, index, tail, protocol)]
  }
  return steps[tail.phase]()
}

function claim (state: State, index: number, tail: Tail): Step {
  const token = freshToken(state)
  const label = `${tailName(index)} claims Redis`
  return { label, state: { ...withTail(state, index, { ...tail, phase: 'ready', token }), redis: { ...state.redis, token } } }
}

function readMarker (state: State, index: number, tail: Tail): Step {
  const { log, redis: { marker } } = state
  const ours = marker.logId === log.id
  const label = ours ? `${tailName(index)} reads the marker ${marker.logId}:${marker.position}` : `${tailName(index)} finds no marker of log ${log.id}`
  return { label, state: withTail(state, index, { ...tail, phase: ours ? 'read' : 'missed', logId: log.id, position: ours ? marker.position : 0 }) }
}

function readHead (state: State, index: number, tail: Tail, protocol: Protocol): Step[] {
  const { head } = state.log
  const name = tailName(index)
  if (isOfLostPast(state.log, tail.position, protocol)) {
    // Without log ids all it can do is to replay from the start.
    if (protocol.logId) return [makeLogId(state, index, protocol)]
    if (!maySeeHead(state, protocol)) return []
    return [{ label: `${name} finds the marker ahead of the head, ${head}, and replays all`, state: withTail(state, index, { ...tail, phase: 'writing', position: 0, head }), note: 'full replays' }]
  }
  if (!maySeeHead(state, protocol)) return []
  const label = `${name} reads that the head is ${head}`
  if (tail.phase === 'read' && tail.position === head) return [{ label, state: withTail(state, index, { ...tail, phase: 'ready', logId: 0, position: 0 }) }]
  const log = protocol.recordsMarks ? { ...state.log, marked: Math.max(state.log.marked, head) } : state.log
  const marked = protocol.marksFirst ? { ...state.redis, marker: mark(tail, head) } : state.redis
  const after = { ...withTail(state, index, { ...tail, phase: 'writing', head }), log, redis: marked }
  return [{ label, state: after, ...tail.phase === 'missed' && { note: 'full replays' as const } }]
}

function writeNext (state: State, index: number, tail: Tail, protocol: Protocol): Step {
  const { token } = state.redis
  const passes = protocol.checks === 'never' || token === tail.token || (protocol.checks === 'unless missing' && token === 0)
  if (!passes) return refused(state, index)
  if (tail.position < tail.head) {
    const position = nextPosition(state, tail)
    const label = `${tailName(index)} writes the entry of position ${position}`
    return { label, state: { ...withTail(state, index, { ...tail, position }), redis: writeRow(state, position) } }
  }
  const redis = protocol.marksFirst ? state.redis : { ...state.redis, marker: mark(tail, tail.head) }
  const after = { ...withTail(state, index, { ...tail, phase: 'ready', logId: 0, position: 0, head: 0 }), redis }
  return { label: `${tailName(index)} sets the marker to ${tail.logId}:${tail.head}`, state: after }
}

const mark = ({ logId }: Tail, position: number): Marker => ({ logId, position, claim: 0 })
