import type { Protocol } from './protocol.ts'
import {
  addEntry, changeRedis, changeState, goneLogout, replaceAt, type Logout, type State, type Step
} from './state.ts'

const name = (index: number) => `logout ${index + 1}`

/** Returns the next steps of the logouts. */
export function stepsOfWriters (state: State, protocol: Protocol): Step[] {
  const steps: Step[] = []
  for (const [index, logout] of state.logouts.entries()) {
    const { position } = logout
    if (logout.phase === 'idle') {
      if (index === 0 || state.logouts[index - 1]?.phase !== 'idle') steps.push(open(state, index))
      break
    }
    if (logout.phase === 'open') {
      steps.push({
        label: `${name(index)} commits position ${position}`,
        state: change(state, index, { phase: 'committed', position })
      })
      steps.push({ label: `${name(index)} is rolled back`, state: change(state, index, goneLogout) })
    }
    if (logout.phase === 'committed' || logout.phase === 'recorded') {
      const written = write(state, index, logout, protocol)
      const state200 = change(written, index, { phase: 'answered', position })
      steps.push({
        label: `${name(index)} writes its entry and is answered 200`, state: state200, note: 'logouts answered 200'
      })
    }
    if (logout.phase === 'committed') {
      const late = change(write(state, index, logout, protocol), index, { phase: 'recorded', position })
      steps.push({
        label: `the entry of ${name(index)}, answered 503, is written late`, state: late, note: 'commands executed late'
      })
    }
  }
  return steps
}

/**
 * Takes the lock, shared, and a position. Postgres gives out positions in order, and they are committed in any order.
 */
function open (state: State, index: number): Step {
  const { id, head: last, marked } = state.record
  const head = last + 1
  return {
    label: `${name(index)} is given position ${head}`,
    state: changeState(change(state, index, { phase: 'open', position: head }), { record: { id, head, marked } })
  }
}

function write (state: State, index: number, { position }: Logout, protocol: Protocol): State {
  const redis = changeRedis(state.redis, { entries: addEntry(state.redis.entries, index, protocol) })
  if (!protocol.writersMove || (redis.marker.recordId === state.record.id && redis.marker.position >= position)) {
    return changeState(state, { redis })
  }
  const marker = { recordId: state.record.id, position, draft: 0 }
  return changeState(state, { redis: changeRedis(redis, { marker }) })
}

const change = (state: State, index: number, logout: Logout): State =>
  changeState(state, { logouts: replaceAt(state.logouts, index, logout) })
