import type { AddressInfo } from 'node:net'
import { buildVariant, type VariantOptions } from './variants.ts'
import { answer, givenArgument, usedMicros } from './processes.ts'

/**
 * Starts a variant on a port of its own, and returns its URL. All variants run in this process. Besides requests, it
 * only reports its processor time.
 */
async function listen (options: VariantOptions): Promise<string> {
  const app = await buildVariant(options)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/me`
}

const urls: string[] = []
for (const options of givenArgument<VariantOptions[]>()) urls.push(await listen(options))

answer({ ready: () => true, urls: () => urls, usedMicros })
