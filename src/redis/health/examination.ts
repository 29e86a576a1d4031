import type { Redis } from 'ioredis'
import type { Clocks } from '../../clocks/clocks.ts'
import { describeTopology, variableOf, type RedisTopology } from '../topology.ts'
import { toPlainError } from '../connection.ts'

/** A property of a server that would break a promise. */
export interface RedisFlaw {
  /** All are flaws of a Redis, except `record_clock`, a flaw of Postgres, and `own_clock`, a flaw of this machine. */
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
  /** The address of the server, if there are several. */
  at?: string | undefined
  /** Completes "the Redis at …", "Postgres" or "this machine". */
  what: string
  /** A sentence that says what to do. */
  cure: string
}

/** A server to examine. */
export interface ExaminedServer {
  redis: Redis
  /** The address of the server, if there are several. */
  at?: string
  /** The tags of its shards, in a cluster. */
  tags?: string[]
}

export interface RedisAuditOptions extends ExaminedServer {
  prefix: string
  /** True to read the maxmemory-policy from INFO, which more hosts and users allow than CONFIG GET. */
  readsPolicyFromInfo?: boolean | undefined
  /** Takes the reading of the clock of the server. Once all clocks were read, it decides which of them are wrong. */
  clocks: Pick<Clocks, 'read'>
  /**
   * Resolves to true if a server holds the blocklist of another record. Rejects with an {@link OwnerUnknownError} when
   * Postgres does not answer. Not checked if left out.
   */
  holdsForeign?: (server: ExaminedServer) => Promise<boolean>
}

/** Postgres did not answer which records are ours, so the owner of a blocklist is unknown. The cause says why. */
export class OwnerUnknownError extends Error {
  override readonly name = 'OwnerUnknownError'
}

/** Returns true if an operator has acknowledged a flaw. */
export function isAcknowledged ({ kind }: RedisFlaw, noevictionAcknowledged: boolean): boolean {
  return kind === 'eviction_unknown' && noevictionAcknowledged
}

/** Returns a flaw and its cure in one line, with the variable to look at. */
export function describeFlaw (flaw: RedisFlaw, topology: RedisTopology): string {
  const [variable, owner] = ownerOfFlaw(flaw) ?? [
    variableOf(topology),
    `the Redis at ${flaw.at ?? describeTopology(topology)}`
  ]
  return `${variable}: ${owner} ${flaw.what}. ${flaw.cure}`
}

/** Returns a flaw as the reason why no answer is trusted, without address and cure. */
export function reasonOf (flaw: RedisFlaw): string {
  const [, owner] = ownerOfFlaw(flaw) ?? ['', 'the Redis']
  return `${owner[0]?.toUpperCase()}${owner.slice(1)} ${flaw.what}.`
}

/** Returns the variable to look at and the owner of a flaw; undefined for a flaw of Redis. */
function ownerOfFlaw ({ kind }: RedisFlaw): [variable: string, owner: string] | undefined {
  if (kind === 'record_clock') return ['DATABASE_URL', 'Postgres']
  return kind === 'own_clock' ? ['CLOCK_LEEWAY', 'this machine'] : undefined
}

/** The first version with PXAT, which the blocklist needs. */
const minimumVersion = '6.2'

/**
 * Returns true if entries may be missing because of a flaw, even after it was cured, and though the marker is there.
 */
export function mayForget ({ kind }: RedisFlaw): boolean {
  return ['eviction', 'eviction_unknown', 'clock', 'record_clock'].includes(kind)
}

/** The result of an examination. */
export interface Examination {
  flaws: RedisFlaw[]
  /** The error of the first question that the server did not answer. */
  failure: Error | undefined
  /** The error of Postgres, if it did not answer which records are ours. */
  recordFailure: unknown
}

/**
 * Looks for everything that lets Redis lose revocations, or lets replicas disagree about them. Each check runs
 * independently: a check that fails hides no flaw that another one finds. Never rejects.
 */
export async function examineRedis (options: RedisAuditOptions): Promise<Examination> {
  const { redis, at } = options
  const checks = await Promise.allSettled([
    findServerFlaws(redis),
    findEviction(options),
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

/** Returns the flaws that {@link examineRedis} finds. Rejects when a check fails. */
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

async function findEviction ({ redis, readsPolicyFromInfo }: RedisAuditOptions): Promise<RedisFlaw[]> {
  const hidden = 'Allow CONFIG GET; or make sure that it is noeviction, and set REDIS_NOEVICTION_ACKNOWLEDGED=yes.'
  const flaw = findEvictionFlaw(await (readsPolicyFromInfo === true ? readPolicyFromInfo : readPolicy)(redis), hidden)
  return flaw === undefined ? [] : [flaw]
}

/**
 * Returns the flaw of a maxmemory-policy; undefined if Redis keeps all keys.
 *
 * @param policy undefined if the server does not tell it
 * @param cureOfHidden a sentence that says what to do then
 */
export function findEvictionFlaw (policy: string | undefined, cureOfHidden: string): RedisFlaw | undefined {
  if (policy === 'noeviction') return undefined
  if (policy === undefined) {
    return { kind: 'eviction_unknown', what: 'does not tell its maxmemory-policy', cure: cureOfHidden }
  }
  return {
    kind: 'eviction',
    what: `drops keys when its memory is full (maxmemory-policy is ${policy}), logouts among them`,
    cure: 'Set maxmemory-policy noeviction there.'
  }
}

/** Returns the maxmemory-policy; undefined if CONFIG is renamed or denied, as some providers do. */
async function readPolicy (redis: Redis): Promise<string | undefined> {
  try {
    const [, policy] = await redis.config('GET', 'maxmemory-policy') as string[]
    return policy
  } catch (error) {
    if (/NOPERM|unknown command|disabled/i.test((error as Error).message)) return undefined
    throw error
  }
}

async function readPolicyFromInfo (redis: Redis): Promise<string | undefined> {
  return readInfo(await redis.info('memory'), 'maxmemory_policy')
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
