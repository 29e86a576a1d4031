import type { RedisServer } from '../redis/connections.ts'
import { examineRedis, type Examination, type RedisAuditOptions, type RedisFlaw } from './redis-audit.ts'

export interface RedisAuditorOptions extends Pick<RedisAuditOptions, 'prefix' | 'leewaySeconds' | 'listLogIds'> {
  /** Those that have shards now. */
  servers: () => RedisServer[]
  /** Audits what the record is kept in. What it found last counts as long as that cannot be asked. */
  auditRecord: () => Promise<RedisFlaw[]>
  /** Whether look-ups are answered for these shards. */
  answers: (tags: readonly string[]) => Promise<boolean>
}

/** How often in a row a server that answers look-ups may keep something about itself back. */
const failuresToDistrust = 3

/**
 * Audits every server, and the record, again and again, each by itself. Answers what is wrong with any of them as far as that is
 * known: a flaw that was found stays until it is found to be gone, or until the server is not one of ours any more.
 */
export function createRedisAuditor ({ servers, auditRecord, answers, ...options }: RedisAuditorOptions): () => Promise<RedisFlaw[]> {
  const found = new Map<string, RedisFlaw[]>()
  const failures = new Map<string, number>()
  let foundInRecord: RedisFlaw[] = []

  async function audit (server: RedisServer): Promise<void> {
    const examination = await examineRedis({ ...options, ...server })
    const kept = (found.get(server.at) ?? []).filter(flaw => isUndecided(flaw, examination))
    found.set(server.at, [...examination.flaws, ...kept, ...await judgeSilence(server, examination)])
  }

  /** A server that is away is noticed by every look-up. One that is there and cannot be audited could be anything. */
  async function judgeSilence ({ at, tags }: RedisServer, { failure }: Examination): Promise<RedisFlaw[]> {
    if (failure === undefined) failures.delete(at)
    else failures.set(at, await answers(tags) ? (failures.get(at) ?? 0) + 1 : 0)
    if ((failures.get(at) ?? 0) < failuresToDistrust) return []
    return [{ kind: 'unaudited', at, what: `answers look-ups, and cannot be asked about itself (${failure?.message})`, cure: 'Allow this user INFO, TIME, GET and CONFIG GET, as docs/redis.md says.' }]
  }

  return async () => {
    const present = servers()
    for (const at of found.keys()) if (!present.some(server => server.at === at)) found.delete(at)
    const auditedRecord = auditRecord().then(flaws => { foundInRecord = flaws }, () => {})
    await Promise.all([auditedRecord, ...present.map(audit)])
    return [...foundInRecord, ...found.values()].flat()
  }
}

/** Whether a flaw that was found before may still be there, for all that was found out now. */
function isUndecided ({ kind }: RedisFlaw, { flaws, failure, recordFailure }: Examination): boolean {
  if (kind === 'unaudited' || flaws.some(flaw => flaw.kind === kind)) return false
  return failure !== undefined || (kind === 'foreign_log' && recordFailure !== undefined)
}
