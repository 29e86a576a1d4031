import { Registry } from 'prom-client'
import type { Clocks } from '../clocks/clocks.ts'
import type { BlocklistStatus } from '../blocklist/status.ts'
import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import { BreakerOpenError } from '../redis/link.ts'
import { UntrustedError } from '../trust/trust.ts'
import type { CheckResult } from '../revocation/revocation-check.ts'
import type { RecordedRevocation } from '../record/append.ts'
import { exposeClocks, exposeCounts, exposeLookups, exposeStatus } from './exposition.ts'
import { collectProcessMetrics } from './process-metrics.ts'
import { createCounts } from './counts.ts'
import type { UnavailableCause } from './unavailable.ts'

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
  answeredUnavailable (cause: UnavailableCause): void
  /**
   * Sets the function that returns the state of the blocklist at each scrape. It must settle within a bound, and not
   * reject.
   */
  askBlocklist (read: () => Promise<BlocklistStatus>): void
  /** Sets the function that returns the clock differences at each scrape. */
  askClocks (read: () => Clocks['differences']): void
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
  let stopProcessMetrics: (() => void) | undefined

  exposeCounts(register, counts)
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
    answeredUnavailable (cause) { counts.unavailable[cause]++ },
    askBlocklist (read) { readStatus = read },
    askClocks (read) { readClocks = read },
    async scrape () {
      status = await readStatus?.()
      return await register.metrics()
    },
    contentType: register.contentType,
    start () { stopProcessMetrics ??= collectProcessMetrics(register) },
    stop () { stopProcessMetrics?.() }
  }
}
