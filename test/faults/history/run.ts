import { setTimeout as sleep } from 'node:timers/promises'
import type { Env } from '../../support/app.ts'
import { createDraw, pick, type Draw } from '../../support/draw.ts'
import { password } from '../../support/people.ts'
import { createOwner, type Owner } from '../../support/teardown.ts'
import { findViolations, type Deadlines, type Violation } from './checker.ts'
import { faults, type Fault, type Scene } from './faults.ts'
import type { History } from './operations.ts'
import { withRecorder, type Recorder } from './recorder.ts'
import { startClients } from './start-clients.ts'
import { createWorld, type ReplicaProcess, type World } from './world.ts'

export interface RunOptions {
  seed: number
  seconds: number
  /**
   * The run goes on until this returns true, up to eight minutes longer than `seconds`: chance may draw few of the
   * faults that a test needs, and a busy machine gives few answers.
   */
  isEnough?: ((run: Run) => boolean) | undefined
  /** How much later than the deadlines an answer may come, in milliseconds. Default 2,000: for a machine at rest. */
  marginMs?: number | undefined
  /** The folder for the logs of the replicas. */
  logFolder?: string | undefined
  /** Called with each line of the report of what happens. */
  say: (line: string) => void
}

export interface Run {
  history: History
  violations: Violation[]
  /**
   * The number of times that each fault was injected, and the slowest recovery after it was healed, in milliseconds.
   */
  injected: Map<string, { times: number, slowestRecoveryMs: number }>
}

const leewaySeconds = 2
const deadlines = { blocklistDeadlineMs: 400, databaseDeadlineMs: 1_000 }
const settings: Env = {
  BLOCKLIST_DEADLINE_MS: String(deadlines.blocklistDeadlineMs),
  DATABASE_DEADLINE_MS: String(deadlines.databaseDeadlineMs),
  CLOCK_LEEWAY: String(leewaySeconds),
  JWKS_MAX_AGE: '1'
}
/** In the first part, access tokens and entries of the blocklist expire meanwhile. In the second part they do not. */
const parts: Env[] = [{ ACCESS_TOKEN_TTL: '5' }, { ACCESS_TOKEN_TTL: '900' }]
const partSeconds = 30
/** The largest difference of clocks: a little less than the leeway, since clocks are compared in whole milliseconds. */
const mostMs = leewaySeconds * 1_000 - 100
/**
 * The number of milliseconds by which the clock of each replica is ahead of Redis and Postgres; negative if it is
 * behind.
 */
const clocks = [[-mostMs, 0, -mostMs / 2], [mostMs, 0, mostMs / 2], [mostMs / 2, 0, -mostMs / 2]]
const recoveryMs = 20_000
const maxExtensionSeconds = 480

/** Lets clients act and faults happen at random, and checks the history. Closes everything that it has opened. */
export function runFaults (options: RunOptions): Promise<Run> {
  return withRecorder((owner, recorder) => runWith(owner, recorder, options))
}

async function runWith (owner: Owner, recorder: Recorder, options: RunOptions): Promise<Run> {
  const { seed, seconds, isEnough = () => true, marginMs = 2_000, logFolder, say } = options
  const bounds: Deadlines = { ...deadlines, marginMs }
  say(`seed ${seed}`)
  const { history, now } = recorder
  const draw = createDraw(seed)
  const run: Run = { history, violations: [], injected: new Map() }
  const clockOffsetsMs = pick(draw, clocks)
  say(`clocks are ahead by ${clockOffsetsMs.join(', ')} ms`)
  const world = await createWorld({
    owner, recorder, settings: { ...settings, ...parts[0] }, clockOffsetsMs, logFolder
  })
  const stopWatching = watchMachine(recorder)
  const clients = await startClients(world, recorder, draw)
  await recover(world, recorder, clients.isOver)
  say(`${(now() / 1000).toFixed(1)} s: ${world.replicas.length} replicas, ${clients.count} clients`)

  const startedAt = now()
  let part = 0
  let partBeganAt = startedAt
  const isOver = () => now() > startedAt + (isEnough(run) ? seconds : seconds + maxExtensionSeconds) * 1_000
  while (!isOver() && run.violations.length === 0) {
    if (now() > partBeganAt + partSeconds * 1_000) {
      run.violations.push(...await changePart(world, recorder, ++part, say))
      // On a busy machine, a change takes longer than a part.
      partBeganAt = now()
      // Violations that are found by now need not wait for the end.
      run.violations.push(...findViolations(await withRecord(history, world), bounds))
    } else {
      run.violations.push(
        ...await injectFaults({ world, draw, now, partitions: history.partitions }, recorder, run, say)
      )
    }
  }
  await clients.stop()
  stopWatching()
  run.violations.push(...findViolations(await withRecord(history, world), bounds))
  return run
}

async function withRecord (history: History, world: World): Promise<History> {
  history.endedOnRecord = await world.readEnded()
  return history
}

async function changePart (
  world: World, recorder: Recorder, part: number, say: RunOptions['say']
): Promise<Violation[]> {
  const settings = parts[part % parts.length] as Env
  say(
    `${(recorder.now() / 1000).toFixed(1)} s: access tokens live ${settings['ACCESS_TOKEN_TTL']} s from now on; every replica is restarted`
  )
  for (const replica of world.replicas) await replica.restart(settings)
  return await recovery(world, recorder)
}

/** Lets one fault happen, or two on different things, and waits for the recovery. */
async function injectFaults (
  around: Omit<Scene, 'owner'>, recorder: Recorder, run: Run, say: RunOptions['say']
): Promise<Violation[]> {
  const { draw, world } = around
  await sleep(200 + draw(1_000))
  const chosen = chooseFaults(world, draw)
  const owner = createOwner()
  const scene: Scene = { ...around, owner }
  const beganAt = recorder.now()
  const heals: Array<() => Promise<unknown> | unknown> = []
  // A replica needs the other servers to start: its fault begins first and is healed last.
  for (const fault of [...chosen].sort((a, b) => Number(b.on === 'a replica') - Number(a.on === 'a replica'))) {
    heals.unshift(await fault.begin(scene))
  }
  await sleep(chosen.some(({ on }) => on === 'everything') ? 6_000 : 100 + draw(2_500))
  for (const heal of heals) await heal()
  const healedAt = recorder.now()
  const violations = await recovery(world, recorder)
  await owner.close()
  const recoveredMs = Math.round(recorder.now() - healedAt)
  for (const { title } of chosen) {
    const { times, slowestRecoveryMs } = run.injected.get(title) ?? { times: 0, slowestRecoveryMs: 0 }
    run.injected.set(title, { times: times + 1, slowestRecoveryMs: Math.max(slowestRecoveryMs, recoveredMs) })
  }
  say(
    `${(beganAt / 1000).toFixed(1)} s: ${chosen.map(({ title }) => title).join(', and ')}; for ${Math.round(healedAt - beganAt)} ms, all was well ${recoveredMs} ms later`
  )
  return violations
}

function chooseFaults (world: World, draw: Draw): Fault[] {
  const chosen: Fault[] = []
  const count = draw(3) === 0 ? 2 : 1
  while (chosen.length < count) {
    const fault = pick(draw, faults)
    if (fault.isPossible?.(world) === false || draw(fault.rarity ?? 1) !== 0) continue
    const [first] = chosen
    if (first?.on === fault.on || (first !== undefined && fault.on === 'everything')) continue
    if (first?.on === 'everything') break
    chosen.push(fault)
  }
  return chosen
}

async function recovery (world: World, recorder: Recorder): Promise<Violation[]> {
  const giveUpAt = recorder.now() + recoveryMs
  await recover(world, recorder, () => recorder.now() > giveUpAt)
  if (recorder.now() <= giveUpAt) return []
  const operations = recorder.history.operations.filter(({ client }) => client === controller).slice(-10)
  return [{ kind: 'no recovery', text: `not every replica accepted a new token within ${recoveryMs} ms`, operations }]
}

const controller = 'the control'
let control: { world: World, username: string } | undefined

/** Waits until every replica lets a user sign in and accepts the token. */
async function recover (world: World, recorder: Recorder, isOver: () => boolean): Promise<void> {
  if (control?.world !== world) control = { world, username: (await world.addPerson()).username }
  const { username } = control
  const isWell = async (replica: ReplicaProcess): Promise<boolean> => {
    const { tokens } = await recorder.ask(replica, {
      kind: 'sign-in', client: controller, route: 'POST /login', body: { username, password }
    })
    if (tokens === undefined) return false
    const { operation } = await recorder.ask(replica, {
      kind: 'request', client: controller, route: 'GET /token', bearer: tokens
    })
    return operation.status === 200
  }
  while (!(await Promise.all(world.replicas.map(isWell))).every(Boolean) && !isOver()) await sleep(50)
  recorder.history.recoveries.push(recorder.now())
}

/** Records when the machine stalls, as far as this process notices. Late answers are then no fault of the service. */
function watchMachine ({ history, now }: Recorder): () => void {
  const everyMs = 20
  let lastAt = now()
  const timer = setInterval(() => {
    const at = now()
    if (at - lastAt > 5 * everyMs) history.halts.push({ replica: 'all', from: lastAt, until: at })
    lastAt = at
  }, everyMs)
  return () => { clearInterval(timer) }
}
