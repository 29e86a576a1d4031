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
 * Refuses to start on a Redis with a flaw that no operator has acknowledged.
 *
 * Throws a `StartupError` that names the flaw and its cure, and an `OutageError` when Redis does not answer.
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
    // A later start cannot see any more what Redis may have dropped. The blocklist of another database is left as it
    // is.
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

/**
 * An answer of Redis that refuses something begins with a word such as NOPERM. It does not pass without a change of
 * settings.
 */
const refusal = /^[A-Z]+ /

function cannotAsk (topology: RedisTopology, cause: Error): Error {
  // Postgres could not be asked which records are ours.
  if (cause instanceof SignoutError) return cause
  const server = `${variableOf(topology)}: the Redis at ${describeTopology(topology)}`
  if (!refusal.test(cause.message) || isWriteRefused(cause)) {
    return new OutageError(
      'blocklist',
      `${server} does not answer when it is asked about itself (${cause.message}). See to it that it answers reads and writes.`,
      { cause }
    )
  }
  return new StartupError(
    `${server} cannot be asked about itself (${cause.message}). Allow this user INFO, TIME and GET.`,
    { cause }
  )
}
