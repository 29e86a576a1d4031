import type { RedisServer } from '../connections.ts'
import type { Clocks } from '../../clocks/clocks.ts'
import { describeAhead, type ClockDispute } from '../../clocks/compare-clocks.ts'
import { examineRedis, type Examination, type RedisAuditOptions, type RedisFlaw } from './examination.ts'

type OptionsOfAudit = Pick<RedisAuditOptions, 'prefix' | 'holdsForeign' | 'readsPolicyFromInfo'>

export interface RedisAuditorOptions extends OptionsOfAudit {
  leewaySeconds: number
  /** Returns the servers that have shards now. */
  servers: () => RedisServer[]
  clocks: Pick<Clocks, 'read' | 'conclude' | 'compare'>
  /** Reads the clock of Postgres. */
  readRecordClock: () => Promise<number>
  /** Resolves to true if Redis answers look-ups for the shards with these tags. */
  answers: (tags: readonly string[]) => Promise<boolean>
}

/** The number of failed audits in a row after which a server that answers look-ups is not trusted. */
const failuresToDistrust = 3

/** The server of the record. Its clock is always compared. */
export const recordServer = { kind: 'postgres' } as const

/**
 * Creates an audit of every Redis server, and of the clocks of all servers. It resolves to all known flaws, even if
 * some servers do not answer. A flaw stays until an audit finds that it is cured, or until the server has no shard any
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

  /**
   * Finds a server that answers look-ups and cannot be audited: it could have any flaw. A server that is down is
   * noticed by every look-up.
   */
  async function examineSilence ({ at, tags }: RedisServer, { failure }: Examination): Promise<RedisFlaw[]> {
    if (failure === undefined) failures.delete(at)
    else failures.set(at, await answers(tags) ? (failures.get(at) ?? 0) + 1 : 0)
    if ((failures.get(at) ?? 0) < failuresToDistrust) return []
    return [
      {
        kind: 'unaudited',
        at,
        what: `answers look-ups, but not the health checks (${failure?.message})`,
        cure: 'Allow this user INFO, TIME, GET and CONFIG GET, as docs/redis.md says.'
      }
    ]
  }

  return async () => {
    const present = servers()
    for (const at of found.keys()) if (!present.some(server => server.at === at)) found.delete(at)
    await Promise.all([
      clocks.read(recordServer, readRecordClock).catch(() => {
        /* The last reading counts. */
      }),
      ...present.map(audit)
    ])
    clocks.conclude([recordServer, ...present.map(({ at }) => ({ kind: 'redis' as const, at }))])
    return [...clockFlaws(clocks.compare(), leewaySeconds), ...[...found.values()].flat()]
  }
}

/** Returns true if a known flaw may still be there, because this examination was incomplete. */
function isUndecided ({ kind }: RedisFlaw, { flaws, failure, recordFailure }: Examination): boolean {
  if (kind === 'unaudited' || flaws.some(flaw => flaw.kind === kind)) return false
  return failure !== undefined || (kind === 'foreign_record' && recordFailure !== undefined)
}

/**
 * Returns the flaws behind clocks that differ. Redis drops an entry by its own clock, and a rebuild leaves out rows
 * that have ended by the clock of Postgres. Either may lack entries while its clock is ahead. If the clock of this
 * machine is wrong, nothing is missing, but tokens would be accepted here after their entries have ended.
 *
 * There is no flaw when only Redis and Postgres differ from each other: the margin of an entry covers that.
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
