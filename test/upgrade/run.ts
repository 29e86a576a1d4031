import { issuer, patient, secret, type Env } from '../support/app.ts'
import { createDraw } from '../support/draw.ts'
import { ownRedis } from '../support/redis-server.ts'
import { scratchDatabase } from '../support/services.ts'
import { createOwner, type Owner } from '../support/teardown.ts'
import type { Deadlines } from '../faults/history/checker.ts'
import { addPerson, readEnded } from '../faults/history/database.ts'
import { createRecorder, type Recorder } from '../faults/history/recorder.ts'
import { startClients } from '../faults/history/start-clients.ts'
import type { Build } from './build.ts'
import { findUpgradeViolations, type UpgradeHistory, type UpgradeViolation } from './checker.ts'
import { wrongPasswordLimit } from './crossing.ts'
import { createDeployment, type Deployment, type Stage } from './deployment.ts'

export interface UpgradeOptions {
  previous: Build
  next: Build
  seed: number
  /** The shortest time between two steps, in milliseconds. */
  stageMs: number
  /** The folder for the logs of the replicas. */
  logFolder?: string | undefined
  /** Called with each line of the report of what happens. */
  say: (line: string) => void
}

export interface UpgradeRun {
  history: UpgradeHistory
  violations: UpgradeViolation[]
  stages: Stage[]
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
export async function runUpgrade (options: UpgradeOptions): Promise<UpgradeRun> {
  const owner = createOwner()
  const recorder = createRecorder()
  owner.teardown(recorder.close)
  try {
    return await runWith(owner, recorder, options)
  } finally {
    await owner.close()
  }
}

async function runWith (owner: Owner, recorder: Recorder, options: UpgradeOptions): Promise<UpgradeRun> {
  const { previous, next, seed } = options
  const databaseUrl = await scratchDatabase(owner)
  const env = { ...settings, DATABASE_URL: databaseUrl, REDIS_URL: (await ownRedis(owner)).url }
  const history: UpgradeHistory = Object.assign(recorder.history, { outdated: [] })
  const run: UpgradeRun = { history, violations: [], stages: [] }
  const deployment = createDeployment({ ...options, owner, recorder, env, ...run })
  await Promise.all([previous, previous].map(deployment.add))
  const clients = await startClients(
    { replicas: deployment.targets, addPerson: role => addPerson(databaseUrl, role) },
    recorder,
    createDraw(seed),
    { operatorPauseMs, changesRoles: true }
  )
  // Stops the clients also after an error, before the replicas end.
  owner.teardown(clients.stop)
  const { username: administrator } = await addPerson(databaseUrl, 'admin')
  const crossAll = () => clients.withoutOperator(async () => { await deployment.crossBuilds(administrator) })
  await deployment.dwell('two replicas of the previous build')
  if (previous.recordFormat === next.recordFormat) {
    for (const [direction, build] of [['forward', next], ['back', previous]] as const) {
      await replaceAll(deployment, build, direction, crossAll)
    }
  } else {
    await changeFormat(deployment, previous, next)
  }
  await clients.stop()
  history.endedOnRecord = await readEnded(databaseUrl, recorder)
  run.violations.push(...findUpgradeViolations(history, bounds))
  return run
}

/** Replaces each replica: starts one of the new build, and stops an old one when the new one is ready. */
async function replaceAll (
  deployment: Deployment, build: Build, direction: string, crossAll: () => Promise<void>
): Promise<void> {
  for (const replica of [...deployment.targets]) {
    await deployment.add(build)
    await crossAll()
    await deployment.dwell(`${direction}: a replica of the ${build.name} build is added`)
    await deployment.remove(replica)
    await deployment.dwell(`${direction}: ${replica.name} is stopped`)
  }
}

/** Adds a new replica, and stops the old ones when it is ready. Then starts an old one by mistake. */
async function changeFormat (deployment: Deployment, previous: Build, next: Build): Promise<void> {
  const old = [...deployment.targets]
  await deployment.addOfLaterFormat(next)
  await deployment.dwell('forward: a replica of the next format is added')
  for (const replica of old) await deployment.remove(replica)
  await deployment.dwell('forward: all old replicas are stopped')
  const mistaken = await deployment.addOutdated(previous)
  await deployment.dwell('back, which the documents rule out: a replica of the old format is added')
  await deployment.remove(mistaken)
  await deployment.dwell('back: the replica of the old format is stopped')
}
