import { Registry } from 'prom-client'
import type { Clocks } from '../clocks/clocks.ts'
import type { BlocklistStatus } from '../blocklist/status.ts'
import type { SignoutError } from '../errors.ts'
import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import { limitNames } from '../limits/limits.ts'
import { BreakerOpenError } from '../redis/link.ts'
import { UntrustedError } from '../trust/trust.ts'
import type { CheckResult } from '../revocation/revocation-check.ts'
import type { RecordedRevocation } from '../record/append.ts'
import { exposeBuild, exposeProjector, exposeService, type ServiceReaders } from './expose-service.ts'
import { exposeClocks, exposeCounts, exposeLookups, exposeStatus } from './exposition.ts'
import { exposeAnswers, type MeasureAnswer } from './http-answers.ts'
import type { LoginResult } from './logins.ts'
import { collectProcessMetrics } from './process-metrics.ts'
import { createCounts, type Counts } from './counts.ts'
import { findUnavailableCause } from './unavailable.ts'

/**
 * Collects the metrics of the service, and returns them at each scrape. It keeps nothing about a user, a session or a
 * token: labels only have values that are written in the code.
 */
export interface Metrics {
  /** Counts a check. Called for each request, so it must be quick. */
  checked (result: CheckResult): void
  /** Counts the events of the blocklist. */
  listenTo (events: BlocklistEmitter): void
  revoked (revocations: readonly RecordedRevocation[]): void
  /** Measures an answered request. Called for each request, and only if the metrics can be scraped. */
  answered: MeasureAnswer
  /** Counts an error that a request was answered with, by its cause or its limit. */
  answeredError (error: SignoutError): void
  loggedIn (result: LoginResult): void
  /**
   * Sets the function that returns the state of the blocklist at each scrape. It must settle within a bound, and not
   * reject.
   */
  askBlocklist (read: () => Promise<BlocklistStatus>): void
  /** Sets the function that returns the clock differences at each scrape. */
  askClocks (read: () => Clocks['differences']): void
  /** Sets functions that are called at each scrape. */
  ask (readers: Partial<ServiceReaders>): void
  /** Returns all metrics, in the text format of Prometheus. */
  scrape (): Promise<string>
  readonly contentType: string
  /** Starts to measure the process itself. This costs a little even without requests. */
  start (): void
  stop (): void
}

export function createMetrics (): Metrics {
  const register = new Registry()
  const counts = createCounts()
  let status: BlocklistStatus | undefined
  let readStatus: (() => Promise<BlocklistStatus>) | undefined
  let readClocks: (() => Clocks['differences']) | undefined
  const readers: ServiceReaders = { passwords: () => undefined, pool: () => undefined, isProjector: () => false }
  let stopProcessMetrics: (() => void) | undefined

  exposeBuild(register)
  const answered = exposeAnswers(register)
  exposeService(register, counts, { passwords: () => readers.passwords(), pool: () => readers.pool() })
  exposeCounts(register, counts)
  exposeProjector(register, () => readers.isProjector())
  exposeStatus(register, () => status)
  exposeClocks(register, () => readClocks?.() ?? [])
  const { lookupSeconds, lookupSize } = exposeLookups(register)

  return {
    checked (result) { counts.checks[result]++ },
    listenTo (events) {
      events.on('lookedUp', ({ lookUps, seconds, error }) => {
        // A look-up that the breaker refused was never sent.
        if (error instanceof BreakerOpenError) return
        const isAnswered = error === undefined || error instanceof UntrustedError
        lookupSeconds[isAnswered ? 'answered' : 'failed'].observe(seconds)
        lookupSize.observe(lookUps)
      })
      events.on('breakerOpened', () => {
        counts.breaker.isOpen = true
        counts.breaker.openings++
      })
      events.on('breakerClosed', () => { counts.breaker.isOpen = false })
      events.on('caughtUp', ({ from, entries, seconds }) => {
        const catchUps = counts.catchUps[from === undefined ? 'rebuild' : 'catch_up']
        catchUps.count++
        catchUps.entries += entries
        catchUps.seconds += seconds
      })
    },
    revoked (revocations) {
      for (const { scope, reason } of revocations) counts.countRevocation(scope, reason)
    },
    answered,
    answeredError (error) { countError(counts, error) },
    loggedIn (result) { counts.logins[result]++ },
    askBlocklist (read) { readStatus = read },
    askClocks (read) { readClocks = read },
    ask (more) { Object.assign(readers, more) },
    async scrape () {
      status = await readStatus?.()
      return await register.metrics()
    },
    contentType: register.contentType,
    start () { stopProcessMetrics ??= collectProcessMetrics(register) },
    stop () { stopProcessMetrics?.() }
  }
}

function countError (counts: Counts, error: SignoutError): void {
  const cause = findUnavailableCause(error)
  if (cause !== undefined) counts.unavailable[cause]++
  const limit = limitNames.find(name => name === error.limit?.name)
  if (limit !== undefined) counts.limited[limit]++
  if (error.statusCode === 500) counts.internalErrors.count++
}
