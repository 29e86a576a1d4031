import { canonicalKey, swapsProjectors } from './canonical.ts'
import { stepsOfFaults } from './faults.ts'
import type { Protocol } from './protocol.ts'
import { stepsOfReplica } from './replica.ts'
import { decode, firstState, notes, type Bounds, type Note, type State, type Step } from './state.ts'
import { stepsOfProjectors } from './projectors.ts'
import { stepsOfWriters } from './writers.ts'

export interface Found {
  readonly states: number
  /** The number of times that each of these happened. It shows that the search was not empty. */
  readonly counts: Record<Note, number>
  /** The shortest way to a revoked token that is accepted; undefined if there is none. */
  readonly trace: string[] | undefined
  /** One state out of every `sampleEvery`. */
  readonly samples: State[]
}

/** Visits every state that can be reached within the bounds, breadth first, until a revoked token is accepted. */
export function search (whole: Protocol, bounds: Bounds, sampleEvery = Infinity): Found {
  // Without a restore of Postgres, no marker is beyond what was recorded: the record would only multiply the states.
  const protocol = { ...whole, recordsMarks: whole.recordsMarks && bounds.postgresFaults > 0 }
  const first = canonicalKey(firstState(bounds), protocol)
  const parents = new Map([[first, '']])
  const counts = Object.fromEntries(notes.map(note => [note, 0])) as Record<Note, number>
  const samples: State[] = []
  let expanded = 0
  // A Map is iterated in the order in which its keys were added, including those that are added meanwhile. So it is its
  // own queue.
  for (const key of parents.keys()) {
    const state = decode(key, bounds)
    if (++expanded % sampleEvery === 0) samples.push(state)
    for (const step of stepsOf(state, protocol)) {
      if (step.note !== undefined) counts[step.note]++
      if (step.violation !== undefined) {
        return {
          states: parents.size,
          counts,
          trace: [...traceTo(key, parents, protocol, bounds), `${step.label}: ${step.violation}`],
          samples
        }
      }
      const next = canonicalKey(step.state, protocol)
      if (!parents.has(next)) parents.set(next, key)
    }
  }
  return { states: parents.size, counts, trace: undefined, samples }
}

function stepsOf (state: State, protocol: Protocol): Step[] {
  return [
    ...stepsOfReplica(state, protocol), ...stepsOfWriters(state, protocol), ...stepsOfProjectors(state, protocol),
    ...stepsOfFaults(state, protocol)
  ]
}

function traceTo (key: string, parents: Map<string, string>, protocol: Protocol, bounds: Bounds): string[] {
  const path = [key]
  for (let at = parents.get(key) ?? ''; at !== ''; at = parents.get(at) ?? '') path.unshift(at)
  let swapped = false
  return path.slice(1).map((next, index) => {
    const step = stepsOf(decode(path[index] as string, bounds), protocol).find(
      step => canonicalKey(step.state, protocol) === next
    ) as Step
    const label = swapped
      ? step.label.replace(/projector ([AB])/g, (_, name) => `projector ${name === 'A' ? 'B' : 'A'}`)
      : step.label
    if (swapsProjectors(step.state, protocol)) swapped = !swapped
    return label
  })
}
