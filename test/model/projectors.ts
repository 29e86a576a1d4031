import { stepsOfProjector } from './projector.ts'
import type { Protocol } from './protocol.ts'
import { idleProjector, type State, type Step } from './state.ts'
import { projectorName, withProjector } from './projector-steps.ts'

/**
 * Returns the next steps of the projectors. Nothing keeps two of them apart here: one has the lease in Postgres, and
 * another has lost it without noticing. A projector that is slow also stands for one that has timed out and started
 * over, and whose command is executed late.
 */
export function stepsOfProjectors (state: State, protocol: Protocol): Step[] {
  const steps: Step[] = []
  for (const [index, projector] of state.projectors.entries()) {
    steps.push(...stepsOfProjector(state, index, protocol))
    if (projector.phase !== 'idle') {
      steps.push({ label: `${projectorName(index)} dies`, state: withProjector(state, index, idleProjector) })
    }
  }
  return steps
}
