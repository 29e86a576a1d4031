import type { Asking, Protocol } from './protocol.ts'
import { changeState, has, isCommitted, noAsk, type Ask, type Redis, type State, type Step } from './state.ts'
import { checkEvictions } from './projector-steps.ts'

/**
 * Returns the steps of look-ups whose marker is behind. They count if the record, asked after they were sent, has no
 * row for them after the marker. The model makes them at any time, with any marker of our record. A marker that is not
 * behind does no harm.
 */
export function stepsOfAsking (state: State, protocol: Protocol): Step[] {
  const { replica } = state
  // Only a replica that has compared the marker on this connection, and so has checked the note.
  if (protocol.asking === undefined || replica.phase === 'untrusted') return []
  const asking = { ...protocol.asking, comparesMarked: protocol.asking.comparesMarked && protocol.recordsMarks }
  const checked = replica.phase === 'trusted' ? state : checkEvictions(state, protocol)
  if (replica.ask.isOpen === 1) {
    return asking.asksAfter
      ? [askRecord(state, asking)]
      : places(checked).map(place => lookUpAfterAsking(checked, asking, place))
  }
  if (asking.asksAfter) {
    return [
      ...places(checked).flatMap(place => lookUp(checked, asking, place)), ...asking.fromMarker ? [] : [poll(state)]
    ]
  }
  return places(checked).flatMap(place => askBeforeLookUp(checked, asking, place))
}

interface Place { readonly redis: Redis, readonly where: string, readonly faults: number }

/**
 * Returns the places where a look-up may go: Redis and, as a fault, an old primary that still answers, in any earlier
 * state. An old primary that has evicted keys is left out: its marker is deleted as soon as the replica connects to it.
 */
function places ({ redis, saved, redisFaultsLeft }: State): Place[] {
  const old = redisFaultsLeft > 0 && saved.evicted === 0
  return [{ redis, where: 'Redis', faults: 0 }, ...old ? [{ redis: saved, where: 'an old primary', faults: 1 }] : []]
}

/** Returns the position to ask from; undefined if there is none. */
function positionIn ({ marker }: Redis, state: State, { onlyMarkers }: Asking): number | undefined {
  if (marker.draft !== 0) return onlyMarkers ? undefined : marker.position
  return marker.recordId !== 0 && marker.recordId === state.replica.recordId ? marker.position : undefined
}

const bitsOf = (state: State, test: (logout: State['logouts'][number], index: number) => boolean) =>
  state.logouts.reduce((bits, logout, index) => test(logout, index) ? bits | 1 << index : bits, 0)

const withAsk = (state: State, ask: Ask, faults = 0): State => {
  const { phase, recordId, required, marked } = state.replica
  return changeState(state, {
    replica: { phase, recordId, required, marked, ask }, redisFaultsLeft: state.redisFaultsLeft - faults
  })
}

const openAsk = ({ replica: { recordId, ask: { lastRow } } }: State, position: number, logouts: number): Ask => ({
  isOpen: 1, recordId, position, logouts, lastRow
})

function lookUp (state: State, asking: Asking, { redis, where, faults }: Place): Step[] {
  const position = positionIn(redis, state, asking)
  // A look-up that finds the entries of all answered logouts accepts no revoked token, and need not ask the record.
  const missing = bitsOf(state, ({ phase }, index) => phase === 'answered' && !has(redis.entries, index))
  if (position === undefined || missing === 0) return []
  const ask = openAsk(state, position, missing)
  return [
    { label: `a look-up in ${where} finds a marker at ${position} that is behind`, state: withAsk(state, ask, faults) }
  ]
}

const rowsAfter = (state: State, position: number) =>
  bitsOf(state, logout => isCommitted(logout) && logout.position > position)
const isOurs = ({ record, replica }: State, { onlyMarkers, comparesMarked }: Asking) =>
  (!onlyMarkers || record.id === replica.ask.recordId) && (!comparesMarked || replica.ask.position <= record.marked)

function askRecord (state: State, asking: Asking): Step {
  const { ask } = state.replica
  const closed = withAsk(state, { ...noAsk, lastRow: ask.lastRow })
  if (!isOurs(state, asking)) {
    return {
      label: 'the record has lost what that marker stands for, and the look-up is refused',
      state: closed,
      note: 'look-ups refused (503)'
    }
  }
  const rows = rowsAfter(state, asking.fromMarker ? ask.position : Math.max(ask.position, ask.lastRow))
  return judge(
    state,
    closed,
    bitsOf(state, ({ phase }, index) => phase === 'answered' && has(ask.logouts, index) && !has(rows, index))
  )
}

function judge (before: State, after: State, accepted: number): Step {
  const label = 'the record has nothing of the look-up, which is trusted'
  const violation = before.logouts.findIndex((_, index) => has(accepted, index))
  if (violation >= 0) {
    return { label, state: after, violation: `the token that logout ${violation + 1} ended is accepted` }
  }
  return { label, state: after, note: 'look-ups confirmed by the record' }
}

/** Asks the record before the look-up is sent, which is the mistake that `asksAfter` excludes. */
function askBeforeLookUp (state: State, asking: Asking, { redis }: Place): Step[] {
  const position = positionIn(redis, state, asking)
  if (position === undefined || (asking.comparesMarked && position > state.record.marked)) return []
  const ask = openAsk(state, position, rowsAfter(state, position))
  return [{ label: `the record is asked for rows after ${position}`, state: withAsk(state, ask) }]
}

function lookUpAfterAsking (state: State, asking: Asking, { redis, where, faults }: Place): Step {
  const { ask } = state.replica
  const closed = withAsk(state, noAsk, faults)
  const position = positionIn(redis, state, asking)
  const label = `a look-up in ${where} takes that answer`
  if (position === undefined || position < ask.position) {
    return { label: `${label}, and is refused`, state: closed, note: 'look-ups refused (503)' }
  }
  const accepted = bitsOf(state, ({ phase }, index) => phase === 'answered' && !has(redis.entries | ask.logouts, index))
  return { ...judge(state, closed, accepted), label }
}

/** Remembers the last row that is committed now. */
function poll (state: State): Step {
  const lastRow = Math.max(0, ...state.logouts.filter(isCommitted).map(({ position }) => position))
  return {
    label: `the replica sees that the last row is ${lastRow}`, state: withAsk(state, { ...state.replica.ask, lastRow })
  }
}
