import type { Protocol } from './protocol.ts'
import { stepsOfAsking } from './asking.ts'
import { changeState, has, isCommitted, noAsk, type Replica, type State, type Step } from './state.ts'
import { checkEvictions } from './projector-steps.ts'

/** Returns the next steps of a replica that checks tokens: compare with Postgres, or look all tokens up. */
export function stepsOfReplica (state: State, protocol: Protocol): Step[] {
  const steps = [lookUp(state, protocol), ...stepsOfAsking(state, protocol)]
  if (state.replica.phase !== 'trusted') steps.push(compare(state))
  return steps
}

/**
 * Reads the head of the record after the present connection was made: a head that was read before says nothing about
 * this Redis. A replica that waits reads again. The first head remains enough, unless a restore has lost it.
 */
function compare (state: State): Step {
  const { replica } = state
  const { id, head, marked } = state.record
  const required = replica.phase === 'waiting' && replica.recordId === id ? Math.min(replica.required, head) : head
  const label = `the replica reads in Postgres that the marker has to reach ${id}:${required}`
  return {
    label,
    state: changeState(state, {
      replica: { phase: 'waiting', recordId: id, required, marked, ask: replica.recordId === id ? replica.ask : noAsk }
    })
  }
}

/**
 * One MGET of the marker and of every entry. It starts here, so every logout that was answered before has to be
 * refused.
 */
function lookUp (found: State, protocol: Protocol): Step {
  const state = found.replica.phase === 'trusted' ? found : checkEvictions(found, protocol)
  const replica = seeMarker(state, protocol)
  const what = `a look-up finds ${showMarker(state)}`
  if (replica.phase !== 'trusted' || !marksOurs(state)) {
    return { label: `${what} and is refused`, state: changeState(state, { replica }), note: 'look-ups refused (503)' }
  }
  const { logouts, redis: { entries } } = state
  const accepted = logouts.findIndex(({ phase }, index) => phase === 'answered' && !has(entries, index))
  const label = `${what} and is trusted`
  if (accepted >= 0) return { label, state, violation: `the token that logout ${accepted + 1} ended is accepted` }
  const revoked = logouts.some((logout, index) => isCommitted(logout) && has(entries, index))
  const note = revoked ? 'revoked tokens refused' : 'unrevoked tokens accepted'
  return { label, state: changeState(state, { replica }), note }
}

const marksOurs = ({ redis: { marker }, replica }: State) =>
  marker.draft === 0 && marker.recordId !== 0 && marker.recordId === replica.recordId

/** Returns the replica after it has seen the marker. */
function seeMarker (state: State, protocol: Protocol): Replica {
  const { replica, redis: { marker } } = state
  if (replica.phase === 'untrusted') return replica
  if (!marksOurs(state)) {
    // A missing marker is only refused: the next one can only be newer than every logout that was answered before it
    // went missing.
    return marker.recordId === 0 ? replica : distrust(replica)
  }
  if (replica.phase === 'waiting') {
    if (marker.position < replica.required) return replica
    if (protocol.recordsMarks && marker.position > replica.marked) return distrust(replica)
  }
  return { phase: 'trusted', recordId: replica.recordId, required: 0, marked: 0, ask: replica.ask }
}

function showMarker ({ redis: { marker } }: State): string {
  if (marker.draft !== 0) return 'a rebuild under way'
  return marker.recordId === 0 ? 'no marker' : `the marker ${marker.recordId}:${marker.position}`
}

export const distrust = (replica: Replica): Replica => ({
  phase: 'untrusted',
  recordId: replica.recordId,
  required: 0,
  marked: 0,
  ask: { isOpen: 0, recordId: 0, position: 0, logouts: 0, lastRow: replica.ask.lastRow }
})

/** Returns a replica after its connection was lost and opened again. */
export function reconnect (replica: Replica, protocol: Protocol): Replica {
  return protocol.comparesAfterReconnect ? distrust(replica) : replica
}
