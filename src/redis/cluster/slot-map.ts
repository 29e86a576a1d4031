import type { Redis } from 'ioredis'
import { setTimeout as sleep } from 'node:timers/promises'
import { createPoll } from '../../timing/poll.ts'
import { withDeadline } from '../../timing/deadline.ts'
import { hashTags } from './hash-tags.ts'
import { formatAddress, type RedisAddress } from '../topology.ts'

/** The primary that has the slot of a shard, and the Redis replicas that may take its place. */
interface Owner extends RedisAddress {
  replicas: string[]
}

/**
 * The server of each shard in a cluster, as one of the nodes says. It may be out of date: the server that is asked for
 * a key knows better.
 */
export interface SlotMap {
  /** Returns the address of the primary that has a shard; undefined while its owner is unknown. */
  ownerOf (shard: number): RedisAddress | undefined
  /**
   * Adds a listener. It is called when a shard has another owner.
   *
   * @param isTorn true if the owner was no Redis replica of the one before: the slot was moved, and keys may have been
   * left behind
   */
  onMoved (listener: (shard: number, isTorn: boolean) => void): void
  /** Reads the map again soon, from another node. Call it when the map seems to be wrong. */
  doubt (): void
  /**
   * Resolves when every shard has an owner. Rejects with the reason if that takes longer than four seconds; it goes on
   * asking then.
   */
  start (): Promise<void>
  stop (): void
}

export interface SlotMapOptions {
  /** The nodes that the settings name. */
  nodes: readonly RedisAddress[]
  /** Creates a connection on which every command has a deadline, without connecting it yet. */
  connect: (node: RedisAddress) => Redis
}

const restMs = 1_000
const askAgainMs = 100
const deadlineMs = 1_000
/** The longest wait for the map at start, in milliseconds. */
const startDeadlineMs = 4_000

/** Creates the map, which asks no node until it is started. */
export function createSlotMap ({ nodes, connect }: SlotMapOptions): SlotMap {
  const owners: Array<Owner | undefined> = hashTags.map(() => undefined)
  const listeners: Array<(shard: number, isTorn: boolean) => void> = []
  const scout = createScout(nodes, connect)
  const poll = createPoll(look, { everyMs: restMs, hastenedMs: askAgainMs })
  let reason = 'no node answers'
  let isStopped = false

  async function look (): Promise<void> {
    try {
      learn(await scout.ask())
    } catch (error) {
      reason = (error as Error).message
      scout.replace()
      poll.hasten()
    }
    if (isStopped) scout.replace()
  }

  function learn (ranges: SlotRange[]): void {
    for (const [shard, { slot }] of hashTags.entries()) {
      const range = ranges.find(({ first, last }) => slot >= first && slot <= last)
      // A shard whose slot has no server keeps its owner here. Every server refuses its keys.
      if (range !== undefined) move(shard, { ...range.primary, replicas: range.replicas.map(formatAddress) })
    }
    if (owners.includes(undefined)) reason = 'not every slot has a server'
  }

  function move (shard: number, owner: Owner): void {
    const before = owners[shard]
    owners[shard] = owner
    if (before !== undefined && formatAddress(before) === formatAddress(owner)) return
    for (const listener of listeners) {
      listener(shard, before !== undefined && !before.replicas.includes(formatAddress(owner)))
    }
  }

  return {
    ownerOf: shard => owners[shard],
    onMoved (listener) { listeners.push(listener) },
    doubt () {
      scout.doubt()
      poll.hasten()
    },
    async start () {
      const giveUpAt = performance.now() + startDeadlineMs
      poll.start()
      while (owners.includes(undefined)) {
        if (performance.now() > giveUpAt) throw new Error(reason)
        await sleep(10)
      }
    },
    stop () {
      isStopped = true
      poll.stop()
      scout.replace()
    }
  }
}

/** Asks one node for the map, and another one if that does not answer, or if the map is doubted. */
interface Scout {
  ask (): Promise<SlotRange[]>
  /** Makes the next question go to another node. */
  doubt (): void
  /** Disconnects at once from the node that was asked last. The next question goes to another one. */
  replace (): void
}

function createScout (nodes: readonly RedisAddress[], connect: (node: RedisAddress) => Redis): Scout {
  let candidates = new Map(nodes.map(node => [formatAddress(node), node]))
  let asked: { redis: Redis, node: RedisAddress } | undefined
  let isDoubted = false

  /** Connects to the node that was asked longest ago. */
  async function next (): Promise<{ redis: Redis, node: RedisAddress }> {
    const [first] = candidates
    if (first === undefined) throw new Error('no node is known')
    const [address, node] = first
    candidates.delete(address)
    candidates.set(address, node)
    asked = { redis: connect(node), node }
    await withDeadline(asked.redis.connect(), deadlineMs)
    return asked
  }

  function replace (): void {
    asked?.redis.disconnect()
    asked = undefined
  }

  return {
    async ask () {
      if (isDoubted) replace()
      isDoubted = false
      const { redis, node } = asked ?? await next()
      const ranges = readRanges(await withDeadline(redis.cluster('SLOTS'), deadlineMs), node)
      const known = new Map(
        [...nodes, ...ranges.flatMap(({ primary, replicas }) => [primary, ...replicas])].map(node => [
          formatAddress(node),
          node
        ])
      )
      // In the order in which they were asked. Nodes that have left the cluster are dropped, unless the settings name
      // them.
      candidates = new Map([...[...candidates].filter(([address]) => known.has(address)), ...known])
      return ranges
    },
    doubt () { isDoubted = true },
    replace
  }
}

interface SlotRange {
  first: number
  last: number
  primary: RedisAddress
  replicas: RedisAddress[]
}

/** Reads the answer to CLUSTER SLOTS. An empty host stands for the node that was asked. */
function readRanges (slots: unknown, asked: RedisAddress): SlotRange[] {
  return (slots as Array<[number, number, ...Array<[string | null, number]>]>).flatMap(([first, last, ...servers]) => {
    const [primary, ...replicas] = servers
      .filter(([host]) => host !== '?')
      .map(([host, port]) => ({ host: host || asked.host, port: Number(port) }))
    return primary === undefined ? [] : [{ first: Number(first), last: Number(last), primary, replicas }]
  })
}
