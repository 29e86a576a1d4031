import { setTimeout as sleep } from 'node:timers/promises'
import { isConfirmedEnding, wasAccepted } from '../faults/history/operations.ts'
import { password } from '../support/people.ts'
import type { Build } from './build.ts'
import type { UpgradeHistory, UpgradeViolation } from './checker.ts'
import { cross } from './crossing.ts'
import { startReplica, type BuildReplica, type ReplicaOptions } from './replicas.ts'

/** A step of an upgrade, and the number of requests until the next step. */
export interface Stage {
  title: string
  requests: number
}

export interface DeploymentOptions extends ReplicaOptions {
  history: UpgradeHistory
  /** Gets what the deployment itself finds. */
  violations: UpgradeViolation[]
  stages: Stage[]
  /** Gets each replica that is started. */
  replicas: BuildReplica[]
  /** The shortest time between two steps, in milliseconds. */
  stageMs: number
  say: (line: string) => void
}

/** The replicas of a run. A load balancer would do the same: it sends requests only to replicas that are ready. */
export interface Deployment {
  /** The replicas that get requests. */
  readonly targets: readonly BuildReplica[]
  /** Starts a replica. It gets requests once it is ready. */
  add (build: Build): Promise<void>
  /** Starts a replica of a later format. All others do not know that format. */
  addOfLaterFormat (build: Build): Promise<void>
  /** Starts a replica that does not know the format, and lets it get requests although it is not ready. */
  addOutdated (build: Build): Promise<BuildReplica>
  /** Sends a token of a replica that knows the format to all. The others must refuse it, and must not be ready. */
  askOutdated (username: string): Promise<void>
  /** Stops a replica, which gets no more requests. */
  remove (replica: BuildReplica): Promise<void>
  /** Lets a replica of either build use what one of the other build has made. */
  crossBuilds (administrator: string): Promise<void>
  /** Waits until there were enough requests since the last step. Resolves to false if a violation was found. */
  dwell (title: string): Promise<boolean>
}

/** The requests that a stage needs, and the longest time for them. A busy machine gives few answers. */
const needed = { accepted: 10, endings: 2 }
const longestStageMs = 30_000

export function createDeployment (options: DeploymentOptions): Deployment {
  const { recorder, history, violations, stages, replicas, stageMs, say } = options
  const { outdated, operations, recoveries } = history
  const targets: BuildReplica[] = []
  let count = 0
  let beganAt = recorder.now()
  let operationsBefore = 0

  async function start (build: Build): Promise<BuildReplica> {
    const replica = await startReplica(options, build, `replica ${++count} (${build.name})`)
    replicas.push(replica)
    return replica
  }

  function isEnough (): boolean {
    const since = operations.slice(operationsBefore)
    return recorder.now() > beganAt + stageMs &&
      since.filter(wasAccepted).length >= needed.accepted &&
      since.filter(isConfirmedEnding).length >= needed.endings
  }

  async function add (build: Build): Promise<void> {
    try {
      const replica = await start(build)
      await replica.untilReady()
      targets.push(replica)
      recoveries.push(recorder.now())
    } catch (error) {
      violations.push({ kind: 'not started', text: String(error), operations: [] })
    }
  }

  return {
    targets,
    add,
    async addOfLaterFormat (build) {
      const spells = targets
        .filter(({ name, build: { recordFormat } }) =>
          recordFormat !== build.recordFormat && !outdated.some(({ replica }) => replica === name))
        .map(({ name }) => ({ replica: name, from: recorder.now(), knownFrom: Infinity }))
      outdated.push(...spells)
      await add(build)
      for (const spell of spells) spell.knownFrom = recorder.now()
    },
    async addOutdated (build) {
      const replica = await start(build)
      outdated.push({ replica: replica.name, from: recorder.now(), knownFrom: recorder.now() })
      targets.push(replica)
      return replica
    },
    async askOutdated (username) {
      const isOutdated = ({ name }: BuildReplica) => outdated.some(({ replica }) => replica === name)
      const current = targets.find(target => !isOutdated(target))
      // The replica that knows the format has not started, which is a violation already.
      if (current === undefined) return
      const { tokens } = await recorder.ask(current, {
        kind: 'sign-in', client: username, route: 'POST /login', body: { username, password }
      })
      if (tokens === undefined) return
      for (const target of targets) {
        if (isOutdated(target) && await target.readiness() === 200) {
          const text = `${target.name} is ready although it does not know the format`
          violations.push({ kind: 'format overlooked', text, operations: [] })
        }
        await recorder.ask(target, { kind: 'request', client: username, route: 'GET /token', bearer: tokens })
      }
    },
    async remove (replica) {
      targets.splice(targets.indexOf(replica), 1)
      const code = await replica.stop()
      if (code !== 0) {
        violations.push({ kind: 'crashed', text: `${replica.name} ended with ${code} after SIGTERM`, operations: [] })
      }
    },
    async crossBuilds (administrator) {
      const last = targets.at(-1)
      const other = targets.find(({ build }) => build !== last?.build)
      // The last replica has not started, which is a violation already.
      if (last === undefined || other === undefined) return
      const found = await Promise.all([
        cross({ recorder, maker: last, user: other, administrator }),
        cross({ recorder, maker: other, user: last, administrator })
      ])
      violations.push(...found.flat())
    },
    async dwell (title) {
      while (!isEnough() && recorder.now() < beganAt + longestStageMs) await sleep(50)
      const requests = operations.length - operationsBefore
      stages.push({ title, requests })
      say(`${(recorder.now() / 1000).toFixed(1)} s: ${title}: ${requests} requests`)
      operationsBefore = operations.length
      beganAt = recorder.now()
      return violations.length === 0
    }
  }
}
