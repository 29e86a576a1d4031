import type { Redis } from 'ioredis'
import type { Clocks } from '../../clocks/clocks.ts'
import { describeTopology, variableOf, type RedisTopology } from '../topology.ts'
import { toPlainError } from '../connection.ts'

/** Something about a server that would break a promise: what it is, and what to do about it, in one sentence each. */
export interface RedisFlaw {
  /**
   * Of a Redis, except `record_clock`, which is the clock of Postgres, and `own_clock`, which is that of this machine.
   */
  kind:
    | 'eviction'
    | 'eviction_unknown'
    | 'role'
    | 'version'
    | 'clock'
    | 'foreign_record'
    | 'unaudited'
    | 'unsettled'
    | 'record_clock'
    | 'own_clock'
  /** Where the server is, where there are several. */
  at?: string | undefined
  /** Completes "the Redis at …", "Postgres" or "this machine". */
  what: string
  cure: string
}

/** A server that is asked about itself. */
export interface ExaminedServer {
  redis: Redis
  /** Where it is, where there are several. */
  at?: string
  /** The tags of the shards that it has, in a cluster. */
  tags?: string[]
}

export interface RedisAuditOptions extends ExaminedServer {
  prefix: string
  /** Where the clock of the server is noted. Whether it is wrong is decided there, once all clocks were read. */
  clocks: Pick<Clocks, 'read'>
  /**
   * Returns whether a server holds the blocklist of another record. Rejects with an {@link OwnerUnknownError} when our
   * own record cannot be asked. Without it that is not looked at.
   */
  holdsForeign?: (server: ExaminedServer) => Promise<boolean>
}

/** Whose blocklist a Redis holds is not known, since the record cannot be asked. The cause says why. */
export class OwnerUnknownError extends Error {
  override readonly name = 'OwnerUnknownError'
}

/** Whether an operator has taken a flaw upon themselves. */
export function isAcknowledged ({ kind }: RedisFlaw, noevictionAcknowledged: boolean): boolean {
  return kind === 'eviction_unknown' && noevictionAcknowledged
}

/** A flaw in one line. */
export function describeFlaw (flaw: RedisFlaw, topology: RedisTopology): string {
  const [variable, owner] = ownerOfFlaw(flaw) ?? [
    variableOf(topology),
    `the Redis at ${flaw.at ?? describeTopology(topology)}`
  ]
  return `${variable}: ${owner} ${flaw.what}. ${flaw.cure}`
}

/** Why nothing is trusted, without where and the cure. */
export function reasonOf (flaw: RedisFlaw): string {
  const [, owner] = ownerOfFlaw(flaw) ?? ['', 'the Redis']
  return `${owner[0]?.toUpperCase()}${owner.slice(1)} ${flaw.what}.`
}

/** The variable to look at, and what has the flaw, where that is no Redis. */
function ownerOfFlaw ({ kind }: RedisFlaw): [variable: string, owner: string] | undefined {
  if (kind === 'record_clock') return ['DATABASE_URL', 'Postgres']
  return kind === 'own_clock' ? ['CLOCK_LEEWAY', 'this machine'] : undefined
}

/** What the blocklist is built on: PXAT. */
const minimumVersion = '6.2'

/** Whether entries may be missing because of a flaw, once it is gone, though the marker is there. */
export function mayForget ({ kind }: RedisFlaw): boolean {
  return ['eviction', 'eviction_unknown', 'clock', 'record_clock'].includes(kind)
}

/** What was found out about a server, and what kept the rest from being found out. */
export interface Examination {
  flaws: RedisFlaw[]
  /** What the server did not tell. */
  failure: Error | undefined
  /** Why it is not known whose blocklist it holds, where the record could not be asked. */
  recordFailure: unknown
}

/**
 * Looks for everything that would let a Redis forget revocations, or lets replicas disagree about them. Each thing is
 * looked for by itself: what is found counts, whatever cannot be.
 */
export async function examineRedis (options: RedisAuditOptions): Promise<Examination> {
  const { redis, at } = options
  const checks = await Promise.allSettled([
    findServerFlaws(redis),
    findEviction(redis),
    readClock(options),
    findForeign(options)
  ])
  const failures = checks.flatMap(check => check.status === 'rejected' ? [check.reason as Error] : [])
  const failure = failures.find(error => !(error instanceof OwnerUnknownError))
  return {
    flaws: checks.flatMap(check => check.status === 'fulfilled' ? check.value : []).map(flaw => ({ ...flaw, at })),
    failure: failure && toPlainError(failure),
    recordFailure: failures.find(error => error instanceof OwnerUnknownError)?.cause
  }
}

/** The same, and rejects when not all of it can be found out. */
export async function auditRedis (options: RedisAuditOptions): Promise<RedisFlaw[]> {
  const { flaws, failure, recordFailure } = await examineRedis(options)
  if (failure !== undefined) throw failure
  if (recordFailure !== undefined) throw recordFailure
  return flaws
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
  if (policy === undefined) {
    return [
      {
        kind: 'eviction_unknown',
        what: 'does not tell its maxmemory-policy',
        cure: 'Allow CONFIG GET; or make sure that it is noeviction, and set REDIS_NOEVICTION_ACKNOWLEDGED=yes.'
      }
    ]
  }
  if (policy === 'noeviction') return []
  return [
    {
      kind: 'eviction',
      what: `drops keys when its memory is full (maxmemory-policy is ${policy}), logouts among them`,
      cure: 'Set maxmemory-policy noeviction there.'
    }
  ]
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

async function readClock ({ redis, at, clocks }: RedisAuditOptions): Promise<RedisFlaw[]> {
  await clocks.read({ kind: 'redis', at }, async () => {
    const [seconds, microseconds] = (await redis.time()).map(Number) as [number, number]
    return seconds * 1000 + microseconds / 1000
  })
  return []
}

async function findForeign ({ prefix, holdsForeign, ...server }: RedisAuditOptions): Promise<RedisFlaw[]> {
  if (holdsForeign === undefined || !await holdsForeign(server)) return []
  return [
    {
      kind: 'foreign_record',
      what: `holds the blocklist of another database under the prefix ${prefix}`,
      cure: 'Choose another BLOCKLIST_PREFIX; or take it over with: npx signout adopt-blocklist.'
    }
  ]
}

function readInfo (info: string, field: string): string | undefined {
  return new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(info)?.[1]
}

function isOlder (version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [thanMajor = 0, thanMinor = 0] = than.split('.').map(Number)
  return major < thanMajor || (major === thanMajor && minor < thanMinor)
}
