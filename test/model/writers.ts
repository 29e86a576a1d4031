import type { Protocol } from './protocol.ts'
import { goneLogout, replaceAt, type Logout, type Redis, type State, type Step } from './state.ts'

const name = (index: number) => `logout ${index + 1}`

/** Returns the next steps of the logouts. */
export function stepsOfWriters (state: State, protocol: Protocol): Step[] {
  const steps: Step[] = []
  for (const [index, logout] of state.logouts.entries()) {
    if (logout.phase === 'idle') {
      if (index === 0 || state.logouts[index - 1]?.phase !== 'idle') steps.push(open(state, index))
      break
    }
    if (logout.phase === 'open') {
      steps.push({
        label: `${name(index)} commits position ${logout.position}`,
        state: change(state, index, { ...logout, phase: 'committed' })
      })
      steps.push({ label: `${name(index)} is rolled back`, state: change(state, index, goneLogout) })
    }
    if (logout.phase === 'committed' || logout.phase === 'recorded') {
      const state200 = change(write(state, index, logout, protocol), index, { ...logout, phase: 'answered' })
      steps.push({
        label: `${name(index)} writes its entry and is answered 200`, state: state200, note: 'logouts answered 200'
      })
    }
    if (logout.phase === 'committed') {
      const late = change(write(state, index, logout, protocol), index, { ...logout, phase: 'recorded' })
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
  const head = state.record.head + 1
  return {
    label: `${name(index)} is given position ${head}`,
    state: { ...change(state, index, { phase: 'open', position: head }), record: { ...state.record, head } }
  }
}

function write (state: State, index: number, { position }: Logout, protocol: Protocol): State {
  const redis: Redis = { ...state.redis, entries: state.redis.entries | 1 << index }
  if (!protocol.writersMove || (redis.marker.recordId === state.record.id && redis.marker.position >= position)) {
    return { ...state, redis }
  }
  return { ...state, redis: { ...redis, marker: { recordId: state.record.id, position, draft: 0 } } }
}

const change = (state: State, index: number, logout: Logout): State => ({
  ...state, logouts: replaceAt(state.logouts, index, logout)
})
