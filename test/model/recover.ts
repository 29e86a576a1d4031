import type { Protocol } from './protocol.ts'
import { distrust, stepsOfReplica } from './replica.ts'
import { changeState, has, idleProjector, isCommitted, type State } from './state.ts'
import { stepsOfProjector } from './projector.ts'
import { stepsOfWriters } from './writers.ts'

/**
 * Lets a state recover, and returns what is wrong with the outcome; undefined if nothing is. Nothing fails any more,
 * and one projector is left. Open transactions commit, the projector does its rounds, and the replica reads the head
 * again. Then the replica must trust Redis, and Redis must have the entry of every committed logout.
 */
export function findNoRecovery (state: State, protocol: Protocol): string | undefined {
  let now = state
  while (now.logouts.some(({ phase }) => phase === 'open')) {
    now = stepsOfWriters(now, protocol).find(({ label }) => label.includes('commits'))?.state ?? now
  }
  now = changeState(now, { projectors: now.projectors.map(() => idleProjector), replica: distrust(now.replica) })
  for (let steps = 0; steps < 40; steps++) now = stepsOfProjector(now, 0, protocol)[0]?.state ?? now
  now = stepsOfReplica(now, protocol)[1]?.state ?? now
  const note = stepsOfReplica(now, protocol)[0]?.note
  if (note !== 'revoked tokens refused' && note !== 'unrevoked tokens accepted') {
    return `the replica does not trust what it finds: ${note}`
  }
  const missing = now.logouts.findIndex((logout, index) => isCommitted(logout) && !has(now.redis.entries, index))
  return missing < 0 ? undefined : `the entry of logout ${missing + 1} is missing`
}
