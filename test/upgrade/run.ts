import { setTimeout as sleep } from 'node:timers/promises'
import { issuer, patient, secret, type Env } from '../support/app.ts'
import { createDraw } from '../support/draw.ts'
import { ownRedis } from '../support/redis-server.ts'
import { scratchDatabase } from '../support/services.ts'
import type { Owner } from '../support/teardown.ts'
import type { Deadlines } from '../faults/history/checker.ts'
import { addPerson, readEnded } from '../faults/history/database.ts'
import { withRecorder, type Recorder } from '../faults/history/recorder.ts'
import { startClients, type ClientsOptions } from '../faults/history/start-clients.ts'
import type { Build } from './build.ts'
import { findUpgradeViolations, type UpgradeHistory, type UpgradeViolation } from './checker.ts'
import { wrongPasswordLimit } from './crossing.ts'
import { createDeployment, type Deployment, type Stage } from './deployment.ts'
import type { BuildReplica } from './replicas.ts'

export interface UpgradeOptions {
  previous: Build
  next: Build
  seed: number
  /** The shortest time between two steps, in milliseconds. */
  stageMs: number
  /** The number of users and their pauses, if they are not those of `npm run faults`. */
  load?: Pick<ClientsOptions, 'people' | 'thinkMs'>
  /** The folder for the logs of the replicas. */
  logFolder?: string | undefined
  /** Returns true once all was seen that has to be seen. The last stage lasts until then, or for a minute. */
  isEnough?: (history: UpgradeHistory) => boolean
  /** Called with each line of the report of what happens. */
  say: (line: string) => void
}

export interface UpgradeRun {
  history: UpgradeHistory
  violations: UpgradeViolation[]
  stages: Stage[]
  /** All replicas that were started. */
  replicas: BuildReplica[]
}

const bounds: Deadlines = {
  blocklistDeadlineMs: Number(patient['BLOCKLIST_DEADLINE_MS']),
  databaseDeadlineMs: Number(patient['DATABASE_DEADLINE_MS']),
  marginMs: 5_000
}
const settings: Env = {
  ...patient,
  ISSUER: issuer,
  KEY_ENCRYPTION_SECRET: secret,
  // No limit but the one that is tested: all requests come from one address.
  LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: wrongPasswordLimit.setting,
  LIMIT_PASSWORD_BY_IP: '1000000/900',
  LIMIT_LOGIN_BY_ACCOUNT: '1000000/3600',
  LIMIT_REGISTER_BY_IP: '1000000/3600',
  LIMIT_REFRESH_BY_SESSION: '1000000/60',
  LIMIT_REFRESH_BY_ACCOUNT: '2000001/60',
  REAUTHENTICATION_MAX_AGE: '0',
  // Long enough that a repetition on a busy machine is within it.
  REFRESH_GRACE: '60',
  JWKS_MAX_AGE: '1'
}
const operatorPauseMs = 500

/**
 * Upgrades replicas under load from one build to the next and back, as docs/deploy.md says, and checks the history.
 * Closes everything that it has opened.
 */
export function runUpgrade (options: UpgradeOptions): Promise<UpgradeRun> {
  return withRecorder((owner, recorder) => runWith(owner, recorder, options))
}

async function runWith (owner: Owner, recorder: Recorder, options: UpgradeOptions): Promise<UpgradeRun> {
  const { previous, next, seed } = options
  const databaseUrl = await scratchDatabase(owner)
  const env = { ...settings, DATABASE_URL: databaseUrl, REDIS_URL: (await ownRedis(owner)).url }
  const history: UpgradeHistory = Object.assign(recorder.history, { outdated: [] })
  const run: UpgradeRun = { history, violations: [], stages: [], replicas: [] }
  const deployment = createDeployment({ ...options, ...run, owner, recorder, env })
  const isSameFormat = previous.recordFormat === next.recordFormat
  const firstBuilds = isSameFormat ? [previous, previous] : [previous]
  await Promise.all(firstBuilds.map(deployment.add))
  const clients = await startClients(
    { replicas: deployment.targets, addPerson: role => addPerson(databaseUrl, role) },
    recorder,
    createDraw(seed),
    { operatorPauseMs, changesRoles: true, ...options.load }
  )
  // Stops the clients also after an error, before the replicas end.
  owner.teardown(clients.stop)
  const { username: administrator } = await addPerson(databaseUrl, 'admin')
  const crossAll = () => clients.withoutOperator(() => deployment.crossBuilds(administrator))
  const steps = isSameFormat
    ? [...replaceAll(deployment, next, 'forward', crossAll), ...replaceAll(deployment, previous, 'back', crossAll)]
    : changeFormat(deployment, previous, next, () =>
      clients.withoutOperator(() => deployment.askOutdated(administrator)))
  let isRight = await deployment.dwell(`replicas of the ${previous.name} build: ${firstBuilds.length}`)
  for (const { title, take } of steps) {
    // The next steps would only repeat what is wrong.
    if (!isRight) break
    await take()
    isRight = await deployment.dwell(title)
  }
  if (isRight) await dwellUntil(() => options.isEnough?.(history) ?? true)
  await clients.stop()
  history.endedOnRecord = await readEnded(databaseUrl, recorder)
  run.violations.push(...findUpgradeViolations(history, bounds))
  return run
}

/** The longest time for what the stages have not shown yet. A busy machine gives few answers. */
const longestExtraMs = 60_000

async function dwellUntil (isEnough: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + longestExtraMs
  while (!isEnough() && performance.now() < giveUpAt) await sleep(50)
}

/** A step of an upgrade. */
interface Step {
  title: string
  take (): Promise<void>
}

/** Replaces both replicas: starts one of the new build, and stops an old one when the new one is ready. */
function replaceAll (
  { targets, add, remove }: Deployment, build: Build, direction: string, crossAll: () => Promise<void>
): Step[] {
  const addFirst = {
    title: `${direction}: a replica of the ${build.name} build is added, and each build uses what the other has made`,
    async take () {
      await add(build)
      await crossAll()
    }
  }
  const addSecond = {
    title: `${direction}: another replica of the ${build.name} build is added`, take: () => add(build)
  }
  const removeOne = {
    title: `${direction}: a replica of the other build is stopped`,
    take: () => remove(targets.find(replica => replica.build !== build) as BuildReplica)
  }
  return [addFirst, removeOne, addSecond, removeOne]
}

/** Adds a new replica, and stops the old ones when it is ready. Then starts an old one by mistake. */
function changeFormat (
  { targets, addOfLaterFormat, addOutdated, remove }: Deployment,
  previous: Build,
  next: Build,
  askOutdated: () => Promise<void>
): Step[] {
  async function removeOutdated (): Promise<void> {
    for (const replica of targets.filter(({ build }) => build === previous)) await remove(replica)
  }
  return [
    {
      title: 'forward: a replica of the next format is added',
      async take () {
        await addOfLaterFormat(next)
        await askOutdated()
      }
    },
    { title: 'forward: all replicas of the old format are stopped', take: removeOutdated },
    {
      title: 'back, which is ruled out: a replica of the old format is added',
      async take () {
        await addOutdated(previous)
        await askOutdated()
      }
    },
    { title: 'back: the replica of the old format is stopped', take: removeOutdated }
  ]
}
