import type { RedisServer } from '../connections.ts'
import type { Clocks } from '../../clocks/clocks.ts'
import { describeAhead, type ClockDispute } from '../../clocks/compare-clocks.ts'
import { examineRedis, type Examination, type RedisAuditOptions, type RedisFlaw } from './examination.ts'

export interface RedisAuditorOptions extends Pick<RedisAuditOptions, 'prefix' | 'holdsForeign'> {
  leewaySeconds: number
  /** Those that have shards now. */
  servers: () => RedisServer[]
  clocks: Pick<Clocks, 'read' | 'conclude' | 'compare'>
  /** Reads the clock of Postgres. */
  readRecordClock: () => Promise<number>
  /** Whether look-ups are answered for these shards. */
  answers: (tags: readonly string[]) => Promise<boolean>
}

/** How often in a row a server that answers look-ups may keep something about itself back. */
const failuresToDistrust = 3

/** The record is always one of the servers whose clocks are compared. */
export const recordServer = { kind: 'postgres' } as const

/**
 * Audits every Redis server, and the clocks of all servers, one independently of the other. The function that it
 * returns resolves to all known flaws. A flaw stays until it is found to be gone, or until the server has no shard any
 * more.
 */
export function createRedisAuditor ({
  servers,
  readRecordClock,
  answers,
  ...options
}: RedisAuditorOptions): () => Promise<RedisFlaw[]> {
  const { clocks, leewaySeconds } = options
  const found = new Map<string, RedisFlaw[]>()
  const failures = new Map<string, number>()

  async function audit (server: RedisServer): Promise<void> {
    const examination = await examineRedis({ ...options, ...server })
    const kept = (found.get(server.at) ?? []).filter(flaw => isUndecided(flaw, examination))
    found.set(server.at, [...examination.flaws, ...kept, ...await examineSilence(server, examination)])
  }

  /** A server that is down is noticed by every look-up. One that is there and cannot be audited could be anything. */
  async function examineSilence ({ at, tags }: RedisServer, { failure }: Examination): Promise<RedisFlaw[]> {
    if (failure === undefined) failures.delete(at)
    else failures.set(at, await answers(tags) ? (failures.get(at) ?? 0) + 1 : 0)
    if ((failures.get(at) ?? 0) < failuresToDistrust) return []
    return [
      {
        kind: 'unaudited',
        at,
        what: `answers look-ups, and cannot be asked about itself (${failure?.message})`,
        cure: 'Allow this user INFO, TIME, GET and CONFIG GET, as docs/redis.md says.'
      }
    ]
  }

  return async () => {
    const present = servers()
    for (const at of found.keys()) if (!present.some(server => server.at === at)) found.delete(at)
    await Promise.all([
      clocks.read(recordServer, readRecordClock).catch(() => {
        /* What was read before counts. */
      }),
      ...present.map(audit)
    ])
    clocks.conclude([recordServer, ...present.map(({ at }) => ({ kind: 'redis' as const, at }))])
    return [...clockFlaws(clocks.compare(), leewaySeconds), ...[...found.values()].flat()]
  }
}

/** Whether a flaw that was found before may still be there, for all that was found out now. */
function isUndecided ({ kind }: RedisFlaw, { flaws, failure, recordFailure }: Examination): boolean {
  if (kind === 'unaudited' || flaws.some(flaw => flaw.kind === kind)) return false
  return failure !== undefined || (kind === 'foreign_record' && recordFailure !== undefined)
}

/**
 * The flaws behind clocks that differ. Redis drops an entry by its own clock, and a rebuild leaves out what has ended
 * by that of Postgres: either may be missing something while its clock is ahead. When the clock of this machine is the
 * wrong one, nothing is missing, but tokens would be accepted here whose entries are gone.
 *
 * There is none when only Redis and Postgres differ from each other: the margin of an entry covers that.
 */
export function clockFlaws (dispute: ClockDispute | undefined, leewaySeconds: number): RedisFlaw[] {
  if (dispute === undefined) return []
  const bound = `more than CLOCK_LEEWAY (${leewaySeconds} s)`
  if (dispute.ownAheadMs !== undefined) {
    const ahead = describeAhead(dispute.ownAheadMs)
    const what = `has a clock that is ${ahead} those of Redis and Postgres, which is ${bound}`
    return [{ kind: 'own_clock', what, cure: 'Set the clock of this machine by NTP.' }]
  }
  return dispute.wrong.map(({ server, aheadMs }) => ({
    kind: server.kind === 'postgres' ? 'record_clock' : 'clock',
    ...server.at !== undefined && { at: server.at },
    what: `has a clock that differs from this machine's by ${toSeconds(aheadMs)} s, which is ${bound}`,
    cure: 'Set both clocks by NTP.'
  }))
}

function toSeconds (aheadMs: number): string {
  return (Math.abs(aheadMs) / 1000).toFixed(1)
}
