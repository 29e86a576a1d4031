import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { loggerOptions } from '../../src/process/logger.ts'
import { issueToken, signIn, signUp, type Pair } from '../support/people.ts'
import { answer, givenArgument, usedMicros } from './processes.ts'

/** This process runs the whole service, with its record, on Postgres and Redis. It logs as the service itself does. */
const config = loadConfig(givenArgument<Record<string, string>>())
const app = buildApp(config, await loggerOptions(config))
await app.ready()
await app.listen({ port: 0, host: '127.0.0.1' })
const address = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
const resolutionMs = 1
const delay = monitorEventLoopDelay({ resolution: resolutionMs })

answer({
  ready: () => true,
  address: () => address,
  usedMicros,
  signUp: () => signUp(app),
  /** Issues this number of tokens, each of another user and session. */
  issue: (count: number) =>
    Promise.all(
      Array.from({ length: count }, () => issueToken(app, { userId: randomUUID(), sessionId: randomUUID() }))
    ),
  /** Opens this number of sessions of one user. */
  signIns: ({ username, count }: { username: string, count: number }): Promise<Pair[]> =>
    Promise.all(Array.from({ length: count }, () => signIn(app, username))),
  startDelay () {
    delay.reset()
    delay.enable()
  },
  /** Returns the p99 of the event-loop delay. The histogram holds the time between two checks, resolution included. */
  delayP99Ms: () => delay.percentile(99) / 1e6 - resolutionMs
})
