import { readFileSync } from 'node:fs'
import { X509Certificate } from 'node:crypto'
import type { RedisOptions } from 'ioredis'
import { describeUrl } from '../input/describe-url.ts'
import { StartupError } from '../errors.ts'

/** How the servers of Redis are arranged, and how they are reached. */
export type RedisTopology = StandaloneTopology | SentinelTopology | ClusterTopology

/** One server at an address that always leads to the primary. */
export interface StandaloneTopology {
  kind: 'standalone'
  url: string
  /** A file with certificates of authorities. They are trusted instead of those that Node trusts. */
  caFile?: string
}

/** A primary that sentinels watch, and know the address of. */
export interface SentinelTopology {
  kind: 'sentinel'
  sentinels: RedisAddress[]
  masterName: string
  /** The user of the sentinels, and that of the primary. */
  sentinelUser: RedisUser
  user: RedisUser
  tls: boolean
  caFile?: string
}

/** A cluster, of which some nodes are known, which know the others. */
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

/** The variable that the topology was read from. */
export function variableOf ({ kind }: RedisTopology): 'REDIS_URL' | 'REDIS_SENTINELS' | 'REDIS_CLUSTER_NODES' {
  return kind === 'standalone' ? 'REDIS_URL' : kind === 'sentinel' ? 'REDIS_SENTINELS' : 'REDIS_CLUSTER_NODES'
}

/** Where it is, for people, without anything secret. */
export function describeTopology (topology: RedisTopology): string {
  if (topology.kind === 'standalone') return describeUrl(topology.url)
  const scheme = topology.tls ? 'rediss' : 'redis'
  if (topology.kind === 'cluster') return `${scheme}://${topology.nodes.map(formatAddress).join(',')}`
  return `${scheme}://${topology.sentinels.map(formatAddress).join(',')} (${topology.masterName})`
}

/** As it stands in a URL. */
export function formatAddress ({ host, port }: RedisAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/**
 * What ioredis has to know of a topology with one primary. Throws a {@link StartupError} when the certificates cannot
 * be read.
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
    // Without it a primary that hangs goes unnoticed, and one that was replaced and still answers, too.
    failoverDetector: true,
    ...tls && { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }
  }
}

/** The same for the nodes of a cluster, but for where they are. */
export function toNodeOptions ({ user, tls, caFile }: ClusterTopology): RedisOptions {
  return { ...user, ...tls && { tls: readTls(caFile) } }
}

/** ioredis takes options from the query of an address, and they would win over ours: nothing of it is handed on. */
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
    // Node's TLS takes what holds no certificate for an empty list, and every server would be refused without a reason.
    new X509Certificate(ca).toString()
    return { ca }
  } catch (cause) {
    throw new StartupError(
      `REDIS_TLS_CA: ${caFile} is no file of certificates in PEM format that can be read (${(cause as Error).message}).`,
      { cause }
    )
  }
}
