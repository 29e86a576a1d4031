import { stepsOfTail } from './tail.ts'
import type { Protocol } from './protocol.ts'
import { idleTail, type State, type Step } from './state.ts'
import { tailName, withTail } from './tail-steps.ts'

/**
 * What the tails can do next. Nothing keeps two of them apart here: one is the tail by a lock in Postgres, and another has lost that lock
 * without noticing. A tail that is slow while the other goes on is also one that timed out, started over, and whose command is executed late.
 */
export function stepsOfTails (state: State, protocol: Protocol): Step[] {
  const steps: Step[] = []
  for (const [index, tail] of state.tails.entries()) {
    steps.push(...stepsOfTail(state, index, protocol))
    if (tail.phase !== 'idle') steps.push({ label: `${tailName(index)} dies`, state: withTail(state, index, idleTail) })
  }
  return steps
}
