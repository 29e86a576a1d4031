import perfHooks from 'node:perf_hooks'
import { collectDefaultMetrics, type Registry } from 'prom-client'

/** The part of `node:perf_hooks` that prom-client uses. */
type Instruments = Pick<typeof perfHooks, 'monitorEventLoopDelay' | 'PerformanceObserver'>

/**
 * Collects prom-client's metrics of a process: event-loop delay, garbage collection, memory, processor time. Returns a
 * function that stops the collection.
 *
 * prom-client stops nothing that it has started, and keeps no handle to it. A timer and an observer go on. Both come
 * from `node:perf_hooks`, so they are caught when prom-client creates them.
 */
export function collectProcessMetrics (register: Registry): () => void {
  const { monitorEventLoopDelay, PerformanceObserver } = perfHooks
  const stops: Array<() => void> = []
  // Unlike the exports of a module, the object that `require` returns can be changed. No other code runs meanwhile.
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
