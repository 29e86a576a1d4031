import type { Redis } from 'ioredis'
import { describeTopology, variableOf, type RedisTopology } from '../redis/topology.ts'
import { shardPrefix } from '../redis/connections.ts'
import { parseMarker } from './marker.ts'
import { toPlainError } from './redis-connection.ts'
import { projectionKeys } from './redis-projection.ts'

/** Something about a Redis that would break a promise: what it is, and what to do about it, in one sentence each. */
export interface RedisFlaw {
  kind: 'eviction' | 'eviction_unknown' | 'role' | 'version' | 'clock' | 'foreign_log'
  /** Where the server is, where there are several. */
  at?: string | undefined
  /** Completes "the Redis at …". */
  what: string
  cure: string
}

export interface RedisAuditOptions {
  redis: Redis
  /** Where it is, where there are several. */
  at?: string
  prefix: string
  /** The tags of the shards that it has, in a cluster. */
  tags?: string[]
  leewaySeconds: number
  /** Every name that our record has had: a marker of another is somebody else's. Without it that is not looked at. */
  listLogIds?: () => Promise<string[]>
  /** The clock, in milliseconds since the epoch. */
  now?: () => number
}

/** Whether an operator has taken a flaw upon themselves. */
export function isAcknowledged ({ kind }: RedisFlaw, noevictionAcknowledged: 'yes' | 'no'): boolean {
  return kind === 'eviction_unknown' && noevictionAcknowledged === 'yes'
}

/** A flaw in one line. */
export function describeFlaw ({ at, what, cure }: RedisFlaw, topology: RedisTopology): string {
  return `${variableOf(topology)}: the Redis at ${at ?? describeTopology(topology)} ${what}. ${cure}`
}

/** What the blocklist is built on: PXAT. */
const minimumVersion = '6.2'

/**
 * Looks for everything that would let a Redis forget revocations, or lets replicas disagree about them. Answers what it
 * found; rejects when Redis cannot be asked.
 */
export async function auditRedis (options: RedisAuditOptions): Promise<RedisFlaw[]> {
  try {
    const flaws = [
      ...await findServerFlaws(options.redis),
      ...await findEviction(options.redis),
      ...await findClockDifference(options),
      ...await findForeignLog(options)
    ]
    return flaws.map(flaw => ({ ...flaw, at: options.at }))
  } catch (error) {
    throw toPlainError(error as Error)
  }
}

/** How many keys were evicted since the server started. */
export async function countEvictedKeys (redis: Redis): Promise<number> {
  return Number(readInfo(await redis.info('stats'), 'evicted_keys') ?? 0)
}

async function findServerFlaws (redis: Redis): Promise<RedisFlaw[]> {
  const flaws: RedisFlaw[] = []
  const version = readInfo(await redis.info('server'), 'redis_version') ?? '0'
  if (isOlder(version, minimumVersion)) {
    flaws.push({ kind: 'version', what: `is version ${version}`, cure: `Use ${minimumVersion} or later.` })
  }
  if (readInfo(await redis.info('replication'), 'role') !== 'master') {
    flaws.push({ kind: 'role', what: 'is a replica, which lags and cannot be written', cure: 'Name the primary.' })
  }
  return flaws
}

async function findEviction (redis: Redis): Promise<RedisFlaw[]> {
  const policy = await readPolicy(redis)
  if (policy === undefined) return [{ kind: 'eviction_unknown', what: 'does not tell its maxmemory-policy', cure: 'Allow CONFIG GET; or make sure that it is noeviction, and set REDIS_NOEVICTION_ACKNOWLEDGED=yes.' }]
  if (policy === 'noeviction') return []
  return [{ kind: 'eviction', what: `drops keys when its memory is full (maxmemory-policy is ${policy}), logouts among them`, cure: 'Set maxmemory-policy noeviction there.' }]
}

/** Providers rename or deny CONFIG. */
async function readPolicy (redis: Redis): Promise<string | undefined> {
  try {
    const [, policy] = await redis.config('GET', 'maxmemory-policy') as string[]
    return policy
  } catch (error) {
    if (/NOPERM|unknown command|disabled/i.test((error as Error).message)) return undefined
    throw error
  }
}

async function findClockDifference ({ redis, leewaySeconds, now = Date.now }: RedisAuditOptions): Promise<RedisFlaw[]> {
  const before = now()
  const [seconds, microseconds] = (await redis.time()).map(Number) as [number, number]
  const after = now()
  const theirs = seconds * 1000 + microseconds / 1000
  // Somewhere between the question and the answer: the difference is at least this.
  const differenceMs = Math.max(0, before - theirs, theirs - after)
  // Both clocks are read in whole milliseconds.
  if (differenceMs <= leewaySeconds * 1000 + 1) return []
  return [{ kind: 'clock', what: `has a clock that differs from this machine's by ${(differenceMs / 1000).toFixed(1)} s, which is more than CLOCK_LEEWAY (${leewaySeconds} s)`, cure: 'Set both clocks by NTP.' }]
}

async function findForeignLog ({ redis, prefix, tags = [''], listLogIds }: RedisAuditOptions): Promise<RedisFlaw[]> {
  if (listLogIds === undefined) return []
  const texts = await Promise.all(tags.map(tag => redis.get(projectionKeys(shardPrefix(prefix, tag)).marker).catch(whereElse)))
  const markers = texts.flatMap(text => parseMarker(text) ?? [])
  if (markers.length === 0) return []
  const ours = await listLogIds()
  if (markers.every(({ logId }) => ours.includes(logId))) return []
  return [{ kind: 'foreign_log', what: `holds the blocklist of another database under the prefix ${prefix}`, cure: 'Choose another BLOCKLIST_PREFIX; or take it over with: npx signout adopt-blocklist.' }]
}

/** A shard that is being moved has a marker elsewhere, or none. Whoever has it is asked next time. */
function whereElse (error: Error): null {
  if (/^(MOVED|ASK|TRYAGAIN)\b/.test(error.message)) return null
  throw error
}

function readInfo (info: string, field: string): string | undefined {
  return new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(info)?.[1]
}

function isOlder (version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [thanMajor = 0, thanMinor = 0] = than.split('.').map(Number)
  return major < thanMajor || (major === thanMajor && minor < thanMinor)
}
