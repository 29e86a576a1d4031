import perfHooks from 'node:perf_hooks'
import { collectDefaultMetrics, type Registry } from 'prom-client'

/** What prom-client takes from `node:perf_hooks`. */
type Instruments = Pick<typeof perfHooks, 'monitorEventLoopDelay' | 'PerformanceObserver'>

/**
 * Collects what prom-client measures of every process: event-loop delay, garbage collection, memory, processor time.
 *
 * prom-client stops nothing that it has started, and keeps no handle to it. Both things that go on, a timer and an
 * observer, come from `node:perf_hooks`; so they are noted as they are made. Answers what stops them.
 */
export function collectProcessMetrics (register: Registry): () => void {
  const { monitorEventLoopDelay, PerformanceObserver } = perfHooks
  const stops: Array<() => void> = []
  // The object that `require` answers, which can be changed, unlike a module's exports. Nothing else runs meanwhile.
  const instruments = perfHooks as { -readonly [Name in keyof Instruments]: Instruments[Name] }
  instruments.monitorEventLoopDelay = options => {
    const histogram = monitorEventLoopDelay(options)
    stops.push(() => { histogram.disable() })
    return histogram
  }
  instruments.PerformanceObserver = class extends PerformanceObserver {
    constructor (...args: ConstructorParameters<typeof PerformanceObserver>) {
      super(...args)
      stops.push(() => { this.disconnect() })
    }
  }
  try {
    collectDefaultMetrics({ register })
  } finally {
    Object.assign(instruments, { monitorEventLoopDelay, PerformanceObserver })
  }
  return () => { for (const stop of stops) stop() }
}
