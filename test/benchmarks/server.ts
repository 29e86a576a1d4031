import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { buildVariant, type VariantOptions } from './variants.ts'
import { answer, givenArgument } from './processes.ts'

/** One variant, listening in a process of its own. It is asked what it has used, and does nothing else beside requests. */
const options = givenArgument<VariantOptions>()
const app = await buildVariant(options)
await app.listen({ port: 0, host: '127.0.0.1' })
const { port } = app.server.address() as AddressInfo
const delay = monitorEventLoopDelay({ resolution: 10 })

answer({
  ready: () => true,
  url: () => `http://127.0.0.1:${port}/me`,
  /** Microseconds of processor time, in the program and in the system for it. */
  usedMicros () {
    const { user, system } = process.cpuUsage()
    return user + system
  },
  collectGarbage () { globalThis.gc?.() },
  startDelay () { delay.enable() },
  delayP99Ms: () => delay.percentile(99) / 1e6
})
