import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { findFreePort } from '../../scripts/services/programs.ts'
import type { Env } from '../support/app.ts'
import { startServer } from '../support/server-process.ts'
import type { Owner } from '../support/teardown.ts'
import { until } from '../support/wait.ts'
import { createAttendance } from '../faults/history/attendance.ts'
import type { Recorder, Target } from '../faults/history/recorder.ts'
import { programOf, type Build } from './build.ts'

/** A replica of one build. */
export interface BuildReplica extends Target {
  build: Build
  /** Resolves when the replica is ready. Rejects if that takes too long. */
  untilReady (): Promise<void>
  /** Returns its warnings and errors so far: lines of its log. */
  warnings (): string[]
  /** Resolves to the status of `GET /health/ready`. */
  readiness (): Promise<number>
  /** Sends SIGTERM, and waits for the end. Resolves to the exit code. */
  stop (): Promise<number | string | null>
}

const readyWithinMs = 60_000

export interface ReplicaOptions {
  owner: Owner
  recorder: Recorder
  env: Env
  /** The folder for the log of the replica. Undefined: no log is written. */
  logFolder?: string | undefined
}

/** Starts a replica of a build, and waits until it listens. */
export async function startReplica (
  { owner, recorder, env, logFolder }: ReplicaOptions, build: Build, name: string
): Promise<BuildReplica> {
  const port = await findFreePort()
  const address = `http://127.0.0.1:${port}`
  const attendance = createAttendance(name, recorder)
  const server = await startServer(owner, { ...env, PORT: String(port) }, programOf(build))
  attendance.arrive(server)
  if (logFolder !== undefined) {
    server.child.stdout?.pipe(createWriteStream(join(logFolder, `${name.replace(/\W+/g, '-')}.log`)))
  }
  const readiness = async () => (await fetch(`${address}/health/ready`)).status
  return {
    name,
    address,
    build,
    isOlder: build.name === 'previous',
    readiness,
    warnings: () => server.output().split('\n').filter(line => /"level":[45]0/.test(line)),
    untilReady: () => until(`${name} is ready`, async () => await readiness() === 200, readyWithinMs),
    async stop () {
      attendance.expectEnd()
      server.child.kill('SIGTERM')
      return await server.ended
    }
  }
}
