import { Registry } from 'prom-client'
import type { Clocks } from '../clocks/clocks.ts'
import type { BlocklistStatus } from '../blocklist/status.ts'
import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import { BreakerOpenError } from '../redis/link.ts'
import { UntrustedError } from '../trust/trust.ts'
import type { CheckResult } from '../revocation/revocation-check.ts'
import type { RecordedRevocation } from '../record/record.ts'
import { exposeClocks, exposeCounts, exposeLookups, exposeStatus } from './exposition.ts'
import { collectProcessMetrics } from './process-metrics.ts'
import { createCounts } from './counts.ts'
import type { UnavailableCause } from './unavailable.ts'

/**
 * What operators see of the service. It is told what happens, and says all of it when it is scraped. Nothing that it is
 * told of a person, a session or a token is kept: no label has more values than are written in the code.
 */
export interface Metrics {
  /** Called for each request, so it does no more than add. */
  checked (result: CheckResult): void
  /** Counts what happens to the blocklist. */
  listenTo (events: BlocklistEmitter): void
  revoked (revocations: readonly RecordedRevocation[]): void
  answeredUnavailable (cause: UnavailableCause): void
  /** Says who is asked, on each scrape, how the blocklist is. It answers within a bound, and does not reject. */
  askBlocklist (read: () => Promise<BlocklistStatus>): void
  /** Sets what is read on each scrape to find by how much clocks differ. */
  askClocks (read: () => Clocks['differences']): void
  /** Everything, in the text format of Prometheus. */
  scrape (): Promise<string>
  readonly contentType: string
  /** Starts to measure the process itself, which costs a little even where nothing happens. */
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
        // What the breaker refuses was never sent.
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
