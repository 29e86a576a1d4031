import { createClocks } from '../../clocks/clocks.ts'
import { checkRevocations, everyoneName, type Revocation } from '../../entries/revocation.ts'
import { SignoutError } from '../../errors.ts'
import { createBlocklistEvents } from '../../events/blocklist-events.ts'
import { createRedisLosses } from '../../record/losses.ts'
import { createProjector, type Projector } from '../../record/projector.ts'
import { silenceFor } from '../../redis/connection.ts'
import type { RedisConnections } from '../../redis/connections.ts'
import { createOutstanding, withBounds } from '../../redis/outstanding.ts'
import type { RedisBlocklist } from '../../revocation/redis-blocklist.ts'
import { withDeadline } from '../../timing/deadline.ts'
import { createPoll } from '../../timing/poll.ts'
import { createShards } from '../shards.ts'
import type { OpeningConnections } from './connect.ts'
import type { OpenedRecord } from './postgres-record.ts'
import type { CheckedOptions } from './options.ts'
import { createAudit, createPluginWatch } from './record-audit.ts'

/** The deadline of a script of the projector, in milliseconds. It writes up to 1,000 entries. */
const rebuildDeadlineMs = 5_000
/** The longest wait of `ready()` until the blocklist is rebuilt for the first time, in milliseconds. */
const startDeadlineMs = 5_000
const askAgainMs = 20
const openAgainMs = 500
const pruneEveryMs = 60_000

/** Creates a blocklist that is rebuilt from a record, by the protocol of the service. */
export function openWithRecord (
  opening: OpeningConnections, record: OpenedRecord, options: CheckedOptions
): RedisBlocklist {
  const { deadlineMs, maxTokenLifetimeSeconds } = options
  const { shards, start, stop } = createParts(opening, record, options)
  let hasBeenReady = false
  let isClosed = false

  async function write (revocation: Revocation): Promise<void> {
    await shards.blocklist.revoke([revocation])
  }

  /** Waits for the first rebuild. Later it only waits for instants to pass. */
  async function ready (subject?: string): Promise<void> {
    const waitMs = hasBeenReady ? deadlineMs : Math.max(startDeadlineMs, deadlineMs)
    try {
      await withDeadline(start.now(), waitMs)
    } catch (error) {
      throw error instanceof SignoutError ? error : new SignoutError('revocation_unavailable', { cause: error })
    }
    const giveUpAt = performance.now() + (hasBeenReady ? 0 : waitMs)
    for (;;) {
      const failure = await shards.blocklist.ready(subject).then(() => undefined, (error: unknown) => error)
      if (failure === undefined) break
      if (isClosed || performance.now() > giveUpAt) throw failure
      await new Promise(resolve => { setTimeout(resolve, askAgainMs) })
    }
    hasBeenReady = true
  }

  return {
    ...shards.blocklist,
    ...record.isOfService === true && ofService(shards.blocklist),
    async revoke (revocations) {
      checkRevocations(revocations)
      // Also on a closed blocklist, which rejects it: nothing is recorded then.
      if (isClosed || revocations.length === 0) return await shards.blocklist.revoke(revocations)
      await record.append(revocations)
      await shards.blocklist.revoke(revocations)
    },
    ...maxTokenLifetimeSeconds !== undefined && {
      async revokeSubject (subject: string) {
        await write(await record.appendCutOff('subject', subject, maxTokenLifetimeSeconds))
      },
      async revokeEveryone () {
        await write(await record.appendCutOff('everyone', everyoneName, maxTokenLifetimeSeconds))
      }
    },
    ready,
    async close () {
      isClosed = true
      await shards.blocklist.close()
      await stop()
    }
  }
}

type PluginProjector = Pick<Projector, 'wake' | 'start' | 'stop' | 'hasLease'>

/** Marks the blocklist of the service, and refuses to judge a token whose key is not known: the key may be revoked. */
function ofService ({ isRevoked }: RedisBlocklist): Pick<RedisBlocklist, 'isOfService' | 'isRevoked'> {
  return {
    isOfService: true,
    async isRevoked (claims, kid) {
      if (kid !== undefined) return await isRevoked(claims, kid)
      throw new Error('The key of the token is not known. Set jwt.decode: { complete: true }, and sign with a kid.')
    }
  }
}

function createParts (opening: OpeningConnections, record: OpenedRecord, options: CheckedOptions) {
  const { prefix, leewaySeconds, deadlineMs, maxTokenLifetimeSeconds } = options
  const events = createBlocklistEvents()
  const clocks = createClocks({ leewaySeconds })
  const projectorConnections = opening.attach({
    deadlineMs: Math.max(deadlineMs, rebuildDeadlineMs), silenceMs: silenceFor(deadlineMs)
  })
  const connecting = projectorConnections.connect()
  connecting.catch(() => { /* `start` reports it. */ })
  const shards = createShards({
    connections: bound(opening.connections, deadlineMs),
    projectorConnections,
    prefix,
    leewaySeconds,
    record,
    events,
    comparesIssueTimes: record.isOfService !== true,
    revokesSubjects: maxTokenLifetimeSeconds !== undefined
  })
  shards.suspend('The blocklist is being opened.')
  // The one of the service copies the record.
  const projector: PluginProjector = record.isOfService === true
    ? { wake () {}, start () {}, async stop () {}, hasLease: false }
    : createProjector({ record, shards: shards.projections, events })
  events.on('shardUntrusted', projector.wake)
  events.on('shardReset', projector.wake)
  for (const { link } of projectorConnections.shards) link.onChanged(isReady => { if (isReady) projector.wake() })
  const losses = createRedisLosses(projectorConnections, prefix, events)
  const audit = createAudit({ connections: projectorConnections, record, clocks, shards, options })
  const watch = createPluginWatch({ audit, clocks, losses, shards, projector, options })
  const janitor = createPoll(async () => { if (projector.hasLease) await prune(record) }, {
    everyMs: pruneEveryMs, hastenedMs: pruneEveryMs
  })
  const start = createStart(shards, {
    async open () {
      await record.check()
      await opening.untilConnected()
      await connecting.catch(() => {})
      await watch.open()
      shards.start()
      projector.start()
      janitor.start()
    },
    lookAgain: watch.lookAgain
  })
  return {
    shards,
    start,
    async stop () {
      start.stop()
      janitor.stop()
      shards.stop()
      watch.stop()
      await projector.stop()
      opening.close()
    }
  }
}

/** Bounds the look-ups and revocations of each shard. */
function bound (connections: RedisConnections, deadlineMs: number): RedisConnections {
  const shards = connections.shards.map(({ tag, link }) => ({
    tag, link: withBounds(link, createOutstanding(deadlineMs))
  }))
  return { ...connections, shards }
}

async function prune (record: OpenedRecord): Promise<void> {
  try {
    while (await record.prune());
  } catch {
    // The next run tries again.
  }
}

/** Opens the blocklist in the background, and tries again until it succeeds. Until then it refuses every answer. */
function createStart (
  shards: { suspend (reason: string | undefined): void },
  { open, lookAgain }: { open: () => Promise<void>, lookAgain: () => Promise<void> }
) {
  let opening: Promise<void> | undefined
  let isOpen = false
  let isStopped = false

  function now (): Promise<void> {
    if (isStopped) return Promise.resolve()
    if (isOpen) return lookAgain()
    opening ??= open().then(() => {
      isOpen = true
      poll.stop()
    }, (error: unknown) => {
      shards.suspend(reasonFor(error))
      throw error
    }).finally(() => { opening = undefined })
    return opening.then(lookAgain)
  }

  const poll = createPoll(() => now().catch(() => {}), { everyMs: openAgainMs, hastenedMs: 0 })
  poll.start()
  return {
    now,
    stop () {
      isStopped = true
      poll.stop()
    }
  }
}

function reasonFor (error: unknown): string {
  const { cause = error } = error instanceof SignoutError ? error : {}
  return `The blocklist cannot be opened: ${(cause as Error).message}`
}
