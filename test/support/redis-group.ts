import { spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { findProgramFolder, isFree } from '../../scripts/services/programs.ts'
import { scratchFolder } from './app.ts'
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

/** The folder of redis-server. Undefined if it runs only in containers, where servers cannot reach each other. */
export const redisServer = findProgramFolder('redis-server')

export interface NodeOptions {
  /** Lines of its configuration, besides its address. */
  lines: string[]
  sentinel?: boolean
  /** Options of the client for the test, if it needs more than a port. */
  admin?: object
}

/** Starts a redis-server that keeps only its configuration on disk. It ends with the test. */
export async function startNode (
  t: Test, port: number, { lines, sentinel = false, admin: options = {} }: NodeOptions
): Promise<Node> {
  const folder = scratchFolder(t)
  const file = join(folder, 'redis.conf')
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
  let child: ChildProcess | undefined
  const node: Node = {
    port,
    address: `127.0.0.1:${port}`,
    admin,
    pause () { child?.kill('SIGSTOP') },
    resume () { child?.kill('SIGCONT') },
    async kill () {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise(resolve => child?.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    },
    async start () {
      child = spawn(join(redisServer ?? '', 'redis-server'), [file, ...sentinel ? ['--sentinel'] : []], {
        stdio: 'ignore'
      })
      await admin.ping()
    }
  }
  t.teardown(async () => {
    admin.disconnect()
    await node.kill()
  })
  await node.start()
  return node
}

/** The distance from a port to the port of the cluster bus. */
const busOffset = 10_000

/**
 * Returns ports on which no process listens, and whose ports of the cluster bus are free too. They are below those that
 * the system gives to connections, which could take a port before it is used.
 */
export async function findFreePorts (count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = randomInt(10_000, 22_000)
    if (await isFree(port) && await isFree(port + busOffset)) ports.add(port)
  }
  return [...ports]
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
  const ports = await findFreePorts(6)
  const [primaryPort, ...others] = ports.slice(0, 3)
  const options = (port: number, more: string[]) => ({ lines: [...lines(port), ...more], ...admin && { admin } })
  const servers = [
    await startNode(t, Number(primaryPort), options(Number(primaryPort), [])),
    ...(await Promise.all(
      others.map(port => startNode(t, port, options(port, [`replicaof 127.0.0.1 ${primaryPort}`])))
    ))
  ]
  // A Redis replica that was never in step is not promoted. Sentinels ask only every ten seconds whether it is.
  for (const replica of servers.slice(1)) {
    await until('the replica is in step', async () => await infoOf(replica, 'master_link_status') === 'up', 20_000)
  }
  const sentinels = await Promise.all(
    ports.slice(3).map(port =>
      startNode(t, port, {
        sentinel: true,
        lines: [
          `sentinel monitor ${masterName} 127.0.0.1 ${primaryPort} 2`,
          `sentinel down-after-milliseconds ${masterName} 500`,
          `sentinel failover-timeout ${masterName} 2000`,
          ...sentinelLines(port)
        ],
        ...adminOfSentinels && { admin: adminOfSentinels }
      })
    )
  )
  const [first] = sentinels as [Node]
  const primary = async () => {
    const [, port] = await first.admin.call('SENTINEL', 'get-master-addr-by-name', masterName) as [string, string]
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
