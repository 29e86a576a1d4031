import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { findFreePort, isFree } from '../../scripts/services/programs.ts'
import { scratchFolder } from './app.ts'
import { atFreePort, redisProcess } from './redis-process.ts'
import { until } from './wait.ts'

/** One process of redis-server, beside others. */
export interface Node {
  port: number
  address: string
  /** A client for the test, to inspect and change the server. */
  admin: Redis
  /** Sends SIGSTOP, and SIGCONT. */
  pause (): void
  resume (): void
  /** Sends SIGKILL, and waits for the end. */
  kill (): Promise<void>
  /** Starts it again, with its configuration and without data. */
  start (): Promise<void>
}

/** The deadline of a command, in milliseconds: enough on a machine that is busy with other tests. */
const answerWithinMs = 10_000

export interface NodeOptions {
  /** Lines of its configuration, besides its address. */
  lines: (port: number) => string[]
  sentinel?: boolean
  /** Options of the client for the test, if it needs more than a port. */
  admin?: object
}

/** Starts a redis-server that keeps only its configuration on disk. It ends with the test. */
export function startNode (t: Test, options: NodeOptions): Promise<Node> {
  return atFreePort(port => startNodeAt(t, port, options), findPortOfNode)
}

async function startNodeAt (
  t: Test, port: number, { lines: linesFor, sentinel = false, admin: options = {} }: NodeOptions
): Promise<Node> {
  const folder = scratchFolder(t)
  const file = join(folder, 'redis.conf')
  const lines = linesFor(port)
  const listening = lines.some(line => line.startsWith('port ')) ? [] : [`port ${port}`]
  writeFileSync(
    file,
    [
      ...listening, 'bind 127.0.0.1', 'protected-mode no', `dir ${folder}`,
      ...sentinel ? [] : ['save ""', 'appendonly no', 'repl-diskless-sync-delay 0'], ...lines, ''
    ].join('\n')
  )
  const admin = new Redis({
    host: '127.0.0.1',
    port,
    lazyConnect: true,
    retryStrategy: () => 25,
    maxRetriesPerRequest: null,
    commandTimeout: answerWithinMs,
    ...options
  })
  admin.on('error', () => {
    /* It is down. */
  })
  const program = redisProcess([file, ...sentinel ? ['--sentinel'] : []])
  t.teardown(async () => {
    admin.disconnect()
    await program.kill()
  })
  await program.start(admin).catch(async (error: unknown) => {
    admin.disconnect()
    await program.kill()
    throw error
  })
  return {
    port,
    address: `127.0.0.1:${port}`,
    admin,
    pause () { program.signal('SIGSTOP') },
    resume () { program.signal('SIGCONT') },
    kill: () => program.kill(),
    start: () => program.start(admin)
  }
}

/** The distance from a port to the port of the cluster bus. */
const busOffset = 10_000

/** Returns a port on which no process listens, and whose port of the cluster bus is free too. */
async function findPortOfNode (): Promise<number> {
  for (;;) {
    const port = await findFreePort(1, 32_000 - busOffset - 1)
    if (await isFree(port + busOffset)) return port
  }
}

export async function infoOf (node: Node, field: string): Promise<string | undefined> {
  return new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(await node.admin.info())?.[1]
}

/** A primary with Redis replicas, and sentinels that watch it. */
export interface SentinelGroup {
  servers: Node[]
  sentinels: Node[]
  masterName: string
  /** Returns the primary, as the sentinels say. */
  primary (): Promise<Node>
  replicas (): Promise<Node[]>
}

const masterName = 'mymaster'

export interface GroupOptions {
  /** Lines of the configuration of each server and sentinel, by its port. */
  lines?: (port: number) => string[]
  sentinelLines?: (port: number) => string[]
  admin?: object
  adminOfSentinels?: object
}

export async function startSentinelGroup (
  t: Test, { lines = () => [], sentinelLines = () => [], admin, adminOfSentinels }: GroupOptions = {}
): Promise<SentinelGroup> {
  const startServer = (...more: string[]) =>
    startNode(t, { lines: port => [...lines(port), ...more], ...admin && { admin } })
  const first = await startServer()
  const following = `replicaof 127.0.0.1 ${first.port}`
  const servers = [first, ...await Promise.all([startServer(following), startServer(following)])]
  // A Redis replica that was never in step is not promoted. Sentinels ask only every ten seconds whether it is.
  for (const replica of servers.slice(1)) {
    await until('the replica is in step', async () => await infoOf(replica, 'master_link_status') === 'up', 20_000)
  }
  const sentinels = await Promise.all(
    [1, 2, 3].map(() =>
      startNode(t, {
        sentinel: true,
        lines: port => [
          `sentinel monitor ${masterName} 127.0.0.1 ${first.port} 2`,
          `sentinel down-after-milliseconds ${masterName} 1500`,
          `sentinel failover-timeout ${masterName} 2000`,
          ...sentinelLines(port)
        ],
        ...adminOfSentinels && { admin: adminOfSentinels }
      })
    )
  )
  const [asked] = sentinels as [Node]
  const primary = async () => {
    const [, port] = await asked.admin.call('SENTINEL', 'get-master-addr-by-name', masterName) as [string, string]
    return servers.find(server => server.port === Number(port)) as Node
  }
  await until('the sentinels know each other and the replicas', async () =>
    (
      await Promise.all(
        sentinels.map(async ({ admin }) => {
          const fields = await admin.call('SENTINEL', 'master', masterName) as string[]
          const read = (name: string) => fields[fields.indexOf(name) + 1]
          const replicas = await admin.call('SENTINEL', 'replicas', masterName) as string[][]
          const areInStep = replicas.every(fields => fields[fields.indexOf('master-link-status') + 1] === 'ok')
          return read('num-other-sentinels') === '2' && read('num-slaves') === '2' && areInStep
        })
      )
    ).every(Boolean), 30_000)
  return {
    servers,
    sentinels,
    masterName,
    primary,
    async replicas () {
      const first = await primary()
      return servers.filter(server => server !== first)
    }
  }
}
