import { encodeCanonical, swapsProjectors } from './canonical.ts'
import { stepsOfFaults } from './faults.ts'
import type { Protocol } from './protocol.ts'
import { stepsOfReplica } from './replica.ts'
import { decode, firstState, lengthOf, notes, type Bounds, type Note, type State, type Step } from './state.ts'
import { stepsOfProjectors } from './projectors.ts'
import { createStateSet, type StateSet } from './state-set.ts'
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
  const states = createStateSet(lengthOf(bounds))
  states.add(encodeCanonical(firstState(bounds), protocol), -1)
  const counts = Object.fromEntries(notes.map(note => [note, 0])) as Record<Note, number>
  const samples: State[] = []
  // The set grows meanwhile. It is its own queue, because it keeps the order in which the states were added.
  for (let place = 0; place < states.size; place++) {
    const state = decode(states.read(place), bounds)
    if ((place + 1) % sampleEvery === 0) samples.push(state)
    for (const step of stepsOf(state, protocol)) {
      if (step.note !== undefined) counts[step.note]++
      if (step.violation !== undefined) {
        const trace = [...traceTo(place, states, protocol, bounds), `${step.label}: ${step.violation}`]
        return { states: states.size, counts, trace, samples }
      }
      states.add(encodeCanonical(step.state, protocol), place)
    }
  }
  return { states: states.size, counts, trace: undefined, samples }
}

function stepsOf (state: State, protocol: Protocol): Step[] {
  return [
    ...stepsOfReplica(state, protocol), ...stepsOfWriters(state, protocol), ...stepsOfProjectors(state, protocol),
    ...stepsOfFaults(state, protocol)
  ]
}

function traceTo (place: number, states: StateSet, protocol: Protocol, bounds: Bounds): string[] {
  const path = [place]
  for (let at = states.parentOf(place); at >= 0; at = states.parentOf(at)) path.unshift(at)
  let swapped = false
  return path.slice(1).map((next, index) => {
    const step = stepsOf(decode(states.read(path[index] as number), bounds), protocol).find(
      step => states.find(encodeCanonical(step.state, protocol)) === next
    ) as Step
    const label = swapped
      ? step.label.replace(/projector ([AB])/g, (_, name) => `projector ${name === 'A' ? 'B' : 'A'}`)
      : step.label
    if (swapsProjectors(step.state, protocol)) swapped = !swapped
    return label
  })
}
