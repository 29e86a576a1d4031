import perfHooks from 'node:perf_hooks'
import { Registry } from 'prom-client'
import t from 'tap'
import { collectProcessMetrics } from '../../src/monitoring/process-metrics.ts'

t.test('process metrics stop their instruments, and leave nothing of them in place', async t => {
  const { monitorEventLoopDelay, PerformanceObserver } = perfHooks
  const made: Array<ReturnType<typeof monitorEventLoopDelay>> = []
  const instruments = perfHooks as { monitorEventLoopDelay: typeof monitorEventLoopDelay }
  const spy: typeof monitorEventLoopDelay = options => {
    const histogram = monitorEventLoopDelay(options)
    made.push(histogram)
    return histogram
  }
  instruments.monitorEventLoopDelay = spy
  t.teardown(() => { instruments.monitorEventLoopDelay = monitorEventLoopDelay })
  const disconnected = t.capture(PerformanceObserver.prototype, 'disconnect', PerformanceObserver.prototype.disconnect)

  const register = new Registry()
  const stop = collectProcessMetrics(register)
  t.equal(perfHooks.monitorEventLoopDelay, spy)
  t.equal(perfHooks.PerformanceObserver, PerformanceObserver)
  t.match(await register.metrics(), 'nodejs_eventloop_lag_p99_seconds')
  t.equal(made.length, 1)
  t.equal(disconnected().length, 0)
  stop()
  t.equal(made[0]?.disable(), false, 'it had been disabled')
  t.equal(disconnected().length, 1)
  stop()
})
