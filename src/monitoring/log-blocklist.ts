import type { BlocklistEmitter, CatchUp, ConnectionPurpose, Loss, TrustState } from '../events/blocklist-events.ts'
import type { EventLogger } from './event-logger.ts'
import type { Outages } from './outages.ts'

const connections: Record<ConnectionPurpose, { name: string, consequence: string }> = {
  'look-ups': { name: 'The connection to Redis', consequence: 'Requests with a token get 503 until it is back.' },
  projector: {
    name: 'The second connection to Redis',
    consequence: 'The blocklist is not kept up with the record until it is back.'
  },
  'replicated writes': { name: 'The third connection to Redis', consequence: 'Logouts get 503 until it is back.' }
}

const trusts: Record<TrustState, { level: 'info' | 'warn', message: string }> = {
  untrusted: {
    level: 'warn',
    message: 'The blocklist is not trusted until it has been compared with the record. Requests with a token get 503.'
  },
  behind: {
    level: 'warn',
    message:
      'Redis is behind the record: it may refuse writes. Tokens are checked against Postgres as well, and logouts may get 503.'
  },
  trusted: { level: 'info', message: 'The blocklist is up with the record.' }
}

const losses: Record<Loss, { level: 'warn' | 'error', message: string }> = {
  evicted: {
    level: 'error',
    message: 'Redis has dropped keys, revocations maybe among them: the blocklist is made again from the record.'
  },
  replaced: {
    level: 'warn',
    message:
      'The Redis of before was not asked for a while, and this one may have dropped revocations: the blocklist is made again from the record.'
  }
}

/** The shortest time between two lines about a loss, in milliseconds. Several shards find one loss at once. */
const lossEveryMs = 1_000

/**
 * Writes the events of the blocklist to the log. No other code does. During an outage of a server, its consequences
 * have the level `debug`.
 */
export function logBlocklistEvents (
  events: BlocklistEmitter, log: EventLogger, outages: Pick<Outages, 'failed' | 'isOn'>
): void {
  const isOutage = () => outages.isOn('redis') || outages.isOn('postgres')
  let isTroubleLogged = false
  events.on('trustChanged', (trust, reason) => {
    const { level, message } = trusts[trust]
    if (trust !== 'trusted') isTroubleLogged ||= !isOutage()
    log[isTroubleLogged ? level : 'debug']({ ...reason !== undefined && { reason } }, message)
    if (trust === 'trusted') isTroubleLogged = false
  })
  events.on('caughtUp', catchUp => { logCatchUp(log, catchUp) })
  events.on('breakerOpened', () => {
    outages.failed('redis', new Error('It has missed the deadline several times in a row.'))
  })
  events.on(
    'markerForgotten',
    atMostEvery(lossEveryMs, (loss: Loss) => {
      log[losses[loss].level]({}, losses[loss].message)
    })
  )
  events.on('shardMoved', (tag, reason) => {
    log.warn(
      { tag, reason },
      'A part of the blocklist was moved in the cluster, and is made again from the record. Requests with a token that belongs to it get 503 until it is.'
    )
  })
  events.on('recordRenamed', (marker, head) => {
    log.error(
      { marker, head },
      'The record of revocations has lost its end: the database was restored from a backup. The record has a new id, and the blocklist is made again.'
    )
  })
  events.on('projectorFailed', err => {
    const level = isOutage() ? 'debug' : 'warn'
    log[level]({ err }, 'The blocklist cannot be kept up with the record. It is tried again every second.')
  })
  events.on('connectionLost', (purpose, err) => {
    outages.failed('redis', err)
    log.debug({ err }, `${connections[purpose].name} is lost. ${connections[purpose].consequence}`)
  })
  events.on('connectionRestored', purpose => { log.debug({}, `${connections[purpose].name} is back.`) })
  events.on('flawsFound', descriptions => {
    for (const description of descriptions) log.error({}, `${description} Until then requests with a token get 503.`)
  })
  events.on('flawAcknowledged', description => {
    log.warn({}, `${description} It counts as noeviction, since REDIS_NOEVICTION_ACKNOWLEDGED says so.`)
  })
  events.on('clocksChanged', (description, clocks) => {
    if (description === undefined) log.info({ clocks }, 'Clocks agree again.')
    else log.error({ clocks }, `Clocks differ: ${description}. No token is issued, and none is refused for its time.`)
  })
  events.on('clockSetBack', () => {
    log.warn(
      {},
      'The clock of this machine was set back. The blocklist is rebuilt, since entries may have ended too early.'
    )
  })
}

function logCatchUp (log: EventLogger, { from, to, entries, seconds }: CatchUp): void {
  const isRebuild = from === undefined
  // Catch-ups happen all the time. A rebuild is news.
  const level = isRebuild && entries > 0 ? 'info' : 'debug'
  log[level](
    { position: to.position, entries, seconds },
    isRebuild ? 'The blocklist was made again from the record.' : 'The blocklist was brought up to the record.'
  )
}

function atMostEvery<T> (everyMs: number, work: (value: T) => void): (value: T) => void {
  let silentUntil = -Infinity
  return value => {
    if (performance.now() < silentUntil) return
    silentUntil = performance.now() + everyMs
    work(value)
  }
}
