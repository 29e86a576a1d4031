import { OutageError, SignoutError, StartupError } from '../errors.ts'
import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import { isWriteRefused } from '../record/losses.ts'
import { describeFlaw, mayForget, type RedisFlaw } from '../redis/health/examination.ts'
import type { RedisLosses } from '../redis/health/watch.ts'
import { describeTopology, variableOf, type RedisTopology } from '../redis/topology.ts'

export interface StartAuditOptions {
  topology: RedisTopology
  /** Finds the flaws of all servers. Rejects when one does not answer. */
  audit: () => Promise<RedisFlaw[]>
  /** Returns true for a flaw that an operator has acknowledged. */
  isAcknowledged: (flaw: RedisFlaw) => boolean
  losses: RedisLosses
  events: BlocklistEmitter
}

/**
 * Refuses to start on a Redis with a flaw that no operator has acknowledged. If Redis may have dropped entries because
 * of the flaw, it leaves a doubt there.
 *
 * Rejects with a `StartupError` that names the flaw and its cure, and with an `OutageError` when Redis does not answer.
 */
export async function refuseFlaws ({
  topology,
  audit,
  isAcknowledged,
  losses,
  events
}: StartAuditOptions): Promise<void> {
  const ask = <T>(asked: Promise<T>) => asked.catch(cause => { throw cannotAsk(topology, cause) })
  const flaws = await ask(audit())
  const refused = flaws.filter(flaw => !isAcknowledged(flaw))
  if (refused[0] !== undefined) {
    // A later start could not see that Redis may have dropped entries: the doubt says so. A blocklist of another
    // database is not touched.
    if (refused.some(mayForget) && !flaws.some(({ kind }) => kind === 'foreign_record')) {
      await losses.doubt().catch(() => {})
    }
    throw new StartupError(describeFlaw(refused[0], topology))
  }
  for (const { at, what } of flaws) {
    events.emit('flawAcknowledged', `The Redis at ${at ?? describeTopology(topology)} ${what}.`)
  }
  await ask(losses.settle())
}

/** Matches an error with which Redis refuses a command, such as NOPERM. Only a change of settings helps. */
const refusal = /^[A-Z]+ /

function cannotAsk (topology: RedisTopology, cause: Error): Error {
  // Postgres did not answer which records are ours.
  if (cause instanceof SignoutError) return cause
  const server = `${variableOf(topology)}: the Redis at ${describeTopology(topology)}`
  if (!refusal.test(cause.message) || isWriteRefused(cause)) {
    return new OutageError(
      'blocklist',
      `${server} cannot be checked (${cause.message}). Make sure that it accepts reads and writes.`,
      { cause }
    )
  }
  return new StartupError(
    `${server} refuses INFO, TIME or GET (${cause.message}). Allow them for this user.`,
    { cause }
  )
}
