import { variableOf, type RedisAddress, type RedisTopology, type RedisUser } from './topology.ts'

/** The settings that say where Redis is. */
export interface TopologySettings {
  REDIS_URL?: string | undefined
  REDIS_SENTINELS?: string[] | undefined
  REDIS_MASTER_NAME?: string | undefined
  REDIS_CLUSTER_NODES?: string[] | undefined
  REDIS_USERNAME?: string | undefined
  REDIS_PASSWORD?: string | undefined
  REDIS_TLS_CA?: string | undefined
}

interface Member extends RedisAddress {
  user: RedisUser
  tls: boolean
}

const alternatives = 'REDIS_URL, REDIS_SENTINELS and REDIS_CLUSTER_NODES'

/**
 * Returns the topology that the settings name. Returns undefined if they name none, or have mistakes; each mistake is
 * added to `mistakes` as a line.
 */
export function readTopology (settings: TopologySettings, mistakes: string[]): RedisTopology | undefined {
  const {
    REDIS_URL: url,
    REDIS_SENTINELS: sentinels,
    REDIS_CLUSTER_NODES: nodes,
    REDIS_MASTER_NAME: masterName
  } = settings
  const named = Object.entries({ REDIS_URL: url, REDIS_SENTINELS: sentinels, REDIS_CLUSTER_NODES: nodes }).flatMap(
    ([name, value]) => (value === undefined ? [] : [name])
  )
  const before = mistakes.length
  if (named.length > 1) {
    mistakes.push(`${named.join(' and ')} are set: set one of ${alternatives}, by how your servers are arranged.`)
  }
  if (sentinels !== undefined && masterName === undefined) {
    mistakes.push(
      'REDIS_MASTER_NAME is not set; with REDIS_SENTINELS it must be, to the name that the primary has there, such as mymaster.'
    )
  }
  if (sentinels === undefined && masterName !== undefined) {
    mistakes.push('REDIS_MASTER_NAME is set but REDIS_SENTINELS is not: set both or neither.')
  }
  checkUser(settings, mistakes)
  if (mistakes.length > before) return undefined
  const topology =
    url !== undefined ? { kind: 'standalone' as const, url, ...caFileOf(settings) } : readList(settings, mistakes)
  if (topology !== undefined && settings.REDIS_TLS_CA !== undefined && !isByTls(topology)) {
    mistakes.push(
      `REDIS_TLS_CA is set but ${variableOf(topology)} does not begin with rediss://, so that no certificate would be looked at.`
    )
  }
  return mistakes.length > before ? undefined : topology
}

function checkUser (
  { REDIS_URL, REDIS_SENTINELS, REDIS_CLUSTER_NODES, REDIS_USERNAME, REDIS_PASSWORD }: TopologySettings,
  mistakes: string[]
): void {
  if (REDIS_USERNAME !== undefined && REDIS_PASSWORD === undefined) {
    mistakes.push(
      'REDIS_PASSWORD is not set but REDIS_USERNAME is: set both, or the password alone for the default user.'
    )
  }
  if (REDIS_PASSWORD === undefined) return
  if (REDIS_URL !== undefined) {
    mistakes.push(
      'REDIS_PASSWORD goes with REDIS_SENTINELS and REDIS_CLUSTER_NODES; in REDIS_URL user and password are part of the address: redis://user:password@host:6379'
    )
  } else if (REDIS_SENTINELS === undefined && REDIS_CLUSTER_NODES === undefined) {
    mistakes.push(`REDIS_PASSWORD is set but none of ${alternatives} is.`)
  }
}

function readList (settings: TopologySettings, mistakes: string[]): RedisTopology | undefined {
  const { REDIS_SENTINELS: sentinels, REDIS_CLUSTER_NODES: nodes, REDIS_MASTER_NAME: masterName } = settings
  const name = sentinels === undefined ? 'REDIS_CLUSTER_NODES' : 'REDIS_SENTINELS'
  const texts = sentinels ?? nodes
  // The schema of the settings has reported each address that is wrong.
  if (texts === undefined || !texts.every(isMember)) return undefined
  const members = texts.map(text => readMember(text, sentinels === undefined ? 6379 : 26379))
  const [first] = members
  if (first === undefined) return undefined
  if (members.some(({ tls }) => tls !== first.tls)) {
    mistakes.push(`${name} has members with rediss:// and others without: all are reached by TLS, or none.`)
  }
  if (members.some(({ user }) => JSON.stringify(user) !== JSON.stringify(first.user))) {
    mistakes.push(`${name} has members with different users or passwords: they must have the same.`)
  }
  const user = userOf(settings)
  const addresses = members.map(({ host, port }) => ({ host, port }))
  const common = { tls: first.tls, ...caFileOf(settings) }
  if (masterName !== undefined) {
    return { kind: 'sentinel', sentinels: addresses, masterName, sentinelUser: first.user, user, ...common }
  }
  if (user.password !== undefined && first.user.password !== undefined) {
    mistakes.push('REDIS_PASSWORD is set, and REDIS_CLUSTER_NODES has a password too: leave one of them out.')
  }
  return { kind: 'cluster', nodes: addresses, user: { ...first.user, ...user }, ...common }
}

function userOf ({ REDIS_USERNAME: username, REDIS_PASSWORD: password }: TopologySettings): RedisUser {
  return { ...username !== undefined && { username }, ...password !== undefined && { password } }
}

function caFileOf ({ REDIS_TLS_CA: caFile }: TopologySettings): { caFile?: string } {
  return caFile === undefined ? {} : { caFile }
}

function isByTls (topology: RedisTopology): boolean {
  return topology.kind === 'standalone' ? topology.url.startsWith('rediss:') : topology.tls
}

const member = /^(rediss?:\/\/([^@/?#\s]*@)?)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?\/?$/

/** Returns true if a text is `host:port`, with or without `redis://` or `rediss://` in front. */
export function isMember (text: string): boolean {
  if (!member.test(text) || !URL.canParse(withScheme(text))) return false
  const { username, password } = new URL(withScheme(text))
  try {
    decodeURIComponent(username + password)
    return true
  } catch {
    return false
  }
}

function withScheme (text: string): string {
  return text.includes('://') ? text : `redis://${text}`
}

function readMember (text: string, defaultPort: number): Member {
  const { protocol, hostname, port, username, password } = new URL(withScheme(text))
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port || defaultPort),
    tls: protocol === 'rediss:',
    user: {
      ...(username !== '' && { username: decodeURIComponent(username) }),
      ...(password !== '' && { password: decodeURIComponent(password) })
    }
  }
}

/** Returns the members of a list without their users and passwords. */
export function describeMembers (members: readonly string[]): string {
  return members.map(text => {
    const { protocol, host } = new URL(withScheme(text))
    return `${protocol}//${host}`
  }).join(',')
}
