import { readFileSync } from 'node:fs'
import { X509Certificate } from 'node:crypto'
import type { RedisOptions } from 'ioredis'
import { describeUrl } from '../input/describe-url.ts'
import { StartupError } from '../errors.ts'

/** The arrangement of the Redis servers, and how to reach them. */
export type RedisTopology = StandaloneTopology | SentinelTopology | ClusterTopology

/** One server at an address that always leads to the primary. */
export interface StandaloneTopology {
  kind: 'standalone'
  url: string
  /** A file with certificates of authorities. They are trusted instead of those that Node trusts. */
  caFile?: string
}

/** A primary whose address the sentinels know. */
export interface SentinelTopology {
  kind: 'sentinel'
  sentinels: RedisAddress[]
  masterName: string
  /** The user at the sentinels, and the user at the primary. */
  sentinelUser: RedisUser
  user: RedisUser
  tls: boolean
  caFile?: string
}

/** A cluster. The nodes that are named know the others. */
export interface ClusterTopology {
  kind: 'cluster'
  nodes: RedisAddress[]
  user: RedisUser
  tls: boolean
  caFile?: string
}

export interface RedisAddress {
  host: string
  port: number
}

export interface RedisUser {
  username?: string
  password?: string
}

/** Returns the variable that the topology was read from. */
export function variableOf ({ kind }: RedisTopology): 'REDIS_URL' | 'REDIS_SENTINELS' | 'REDIS_CLUSTER_NODES' {
  return kind === 'standalone' ? 'REDIS_URL' : kind === 'sentinel' ? 'REDIS_SENTINELS' : 'REDIS_CLUSTER_NODES'
}

/** Returns the address for people, without users and passwords. */
export function describeTopology (topology: RedisTopology): string {
  if (topology.kind === 'standalone') return describeUrl(topology.url)
  const scheme = topology.tls ? 'rediss' : 'redis'
  if (topology.kind === 'cluster') return `${scheme}://${topology.nodes.map(formatAddress).join(',')}`
  return `${scheme}://${topology.sentinels.map(formatAddress).join(',')} (${topology.masterName})`
}

/** Returns an address as it stands in a URL. */
export function formatAddress ({ host, port }: RedisAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/**
 * Returns the options of ioredis for a topology with one primary. Throws a {@link StartupError} when the certificates
 * cannot be read.
 */
export function toRedisOptions (topology: StandaloneTopology | SentinelTopology): RedisOptions {
  if (topology.kind === 'standalone') {
    return { ...optionsOf(topology.url), ...(topology.caFile !== undefined && { tls: readTls(topology.caFile) }) }
  }
  const tls = topology.tls ? readTls(topology.caFile) : undefined
  const { sentinelUser: { username, password } } = topology
  return {
    sentinels: topology.sentinels,
    name: topology.masterName,
    ...topology.user,
    ...username !== undefined && { sentinelUsername: username },
    ...password !== undefined && { sentinelPassword: password },
    // Without it, ioredis stays with a primary that stalls, and with one that was replaced and still answers.
    failoverDetector: true,
    ...tls && { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }
  }
}

/**
 * Returns the options of ioredis for the nodes of a cluster, without their addresses. Throws a {@link StartupError}
 * when the certificates cannot be read.
 */
export function toNodeOptions ({ user, tls, caFile }: ClusterTopology): RedisOptions {
  return { ...user, ...tls && { tls: readTls(caFile) } }
}

/**
 * Returns the options of ioredis for an address, without the query of the address. ioredis would take options from
 * there, and prefer them to ours.
 */
export function optionsOf (url: string): RedisOptions {
  const { protocol, hostname, port, username, password, pathname } = new URL(url)
  const db = Number(pathname.slice(1))
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1') || 'localhost',
    port: Number(port || 6379),
    ...username !== '' && { username: decodeURIComponent(username) },
    ...password !== '' && { password: decodeURIComponent(password) },
    ...Number.isInteger(db) && db > 0 && { db },
    ...protocol === 'rediss:' && { tls: {} }
  }
}

function readTls (caFile: string | undefined): { ca?: string } {
  if (caFile === undefined) return {}
  try {
    const ca = readFileSync(caFile, 'utf8')
    // Node takes a file without certificates for an empty list, and would then refuse every server without a reason.
    new X509Certificate(ca).toString()
    return { ca }
  } catch (cause) {
    throw new StartupError(
      `REDIS_TLS_CA: ${caFile} is no file of certificates in PEM format that can be read (${(cause as Error).message}).`,
      { cause }
    )
  }
}
