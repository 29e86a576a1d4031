import { monitorEventLoopDelay } from 'node:perf_hooks'
import { version } from '../../src/package-root.ts'
import { createActions, type Actions } from './actions.ts'
import { LoadError } from './failure.ts'
import { createLogoutCheck, type LogoutCheck } from './logout-check.ts'
import type { LoadOptions } from './options.ts'
import {
  deletePeople, inventPeople, limited, makeSureTheyAgree, signInPeople, signUpPeople, type PeopleOptions, type Person
} from './people.ts'
import { describeProfile, profiles, type Profile } from './profiles.ts'
import type { Progress } from './progress.ts'
import { createRecorder, type Recorder } from './recorder.ts'
import type { Report, Violation } from './report.ts'
import { runClosedLoop, runOpenLoop, runWaves } from './schedule.ts'
import { latenciesOf, distributionOf } from './histogram.ts'
import type { Target } from './targets.ts'

/** Violations are printed as they happen, up to this many. The reports have more. */
const maxPrinted = 20
/** How often what is shown is brought up to date. */
const showEveryMs = 250
/** How many users sign out at the same time once the load is over. */
const leavingAtOnce = 16
const leavingTries = 5
/** How long each step may take that tidies up after the load. */
const tidyMs = 60_000

export interface RunOptions {
  options: LoadOptions
  targets: Target[]
  ownReplicas: boolean
  progress: Progress
  /** Ends the load, which is then reported so far. */
  signal: AbortSignal
  /** Ends what follows the load as well. */
  hurry: AbortSignal
  /**
   * Told what there is to report once the load is over, and again when more is known: what follows may be cut short.
   */
  keep: (report: Report) => void
}

/** Everything that a run needs, made once. */
interface Run extends RunOptions {
  profile: Profile
  mode: Report['mode']
  recorder: Recorder
  logoutCheck: LogoutCheck
  actions: Actions
}

/**
 * Makes users, loads the targets, signs everybody out, and answers what came of it. Rejects with a `LoadError` when
 * nothing could be measured.
 */
export async function runLoad (runOptions: RunOptions): Promise<Report> {
  const run = createRun(runOptions)
  const people = inventPeople(run.options.users)
  try {
    const preparedAt = performance.now()
    await prepare(run, people)
    const preparationSeconds = (performance.now() - preparedAt) / 1000
    if (run.signal.aborted) throw new LoadError('Interrupted before the load began: there is nothing to report.')
    const startedAt = new Date().toISOString()
    const { seconds, generator } = await load(run, people)
    const course: Course = {
      startedAt, seconds, endedBy: run.signal.aborted ? 'interruption' : 'duration', preparationSeconds, generator
    }
    run.keep(reportOf(run, course))
    await leave(run, people)
    await run.logoutCheck.askAgain(within(run))
    const report = reportOf(run, course)
    run.keep(report)
    return report
  } finally {
    if (!run.ownReplicas) await removePeople(run, people.filter(({ mayExist }) => mayExist))
  }
}

type Course = Pick<Report, 'startedAt' | 'seconds' | 'endedBy' | 'preparationSeconds' | 'generator'>

function reportOf (
  { options, targets, ownReplicas, mode, recorder: { figures }, logoutCheck }: Run, course: Course
): Report {
  if (figures.requests === 0) throw new LoadError('Nothing was answered within the time: take a longer --duration.')
  const all = figures.sum()
  return {
    version,
    ...course,
    targets: targets.map(({ name }) => name),
    ownReplicas,
    profile: options.profile,
    profileDescription: describeProfile(options.profile),
    users: options.users,
    mode,
    coordinatedOmission: explainCorrection(mode),
    totals: {
      requests: figures.requests,
      requestsPerSecond: figures.requests / course.seconds,
      failed: figures.failed,
      notSent: figures.notSent,
      latencyMs: latenciesOf(all),
      distribution: distributionOf(all)
    },
    operations: figures.operations,
    intervalSeconds: figures.intervalSeconds,
    timeline: [...figures.timeline],
    revocation: logoutCheck.figures
  }
}

/** Aborted when a step after the load takes too long, or when there is a hurry. */
function within ({ hurry }: Run): AbortSignal {
  return AbortSignal.any([hurry, AbortSignal.timeout(tidyMs)])
}

function createRun (runOptions: RunOptions): Run {
  const { options, targets, progress } = runOptions
  const profile: Profile = profiles[options.profile]
  const mode = modeOf(profile, options)
  const recorder = createRecorder({ durationSeconds: options.durationSeconds, isCorrected: mode.kind === 'closed' })
  let printed = 0
  const onViolation = (violation: Violation) => {
    if (++printed <= maxPrinted) progress.say(describeViolation(violation))
    else if (printed === maxPrinted + 1) progress.say('More violations are in the reports.')
  }
  const logoutCheck = createLogoutCheck({ targets, recorder, onViolation })
  let wasLimited = false
  const onLimited = ({ name }: Target, request: string) => {
    if (!wasLimited) progress.say(limited(name, request))
    wasLimited = true
  }
  const actions = createActions({ profile, targets, recorder, logoutCheck, onLimited })
  return { ...runOptions, profile, mode, recorder, logoutCheck, actions }
}

function modeOf (profile: Profile, { ratePerSecond }: LoadOptions): Report['mode'] {
  if (profile.shares === undefined) return { kind: 'waves' }
  return ratePerSecond === undefined ? { kind: 'closed' } : { kind: 'open', ratePerSecond }
}

function explainCorrection ({ kind }: Report['mode']): string {
  switch (kind) {
    case 'open':
      return 'Latencies count from when a request was due, so they are corrected for coordinated omission.'
    case 'closed':
      return "Latencies are corrected for coordinated omission afterwards, by HdrHistogram's rule: a request of a " +
        'kind is expected from each user at the interval that is usual for it, which is the longer the rarer it is. ' +
        'As measured, they stand beside.'
    case 'waves':
      return 'Latencies count from when everybody began, so they are corrected for coordinated omission.'
  }
}

/** Signs up the users, and signs them in unless that is the load. */
async function prepare ({ profile, targets, progress, signal }: Run, people: Person[]): Promise<void> {
  const inStep = async (title: string, work: (peopleOptions: PeopleOptions) => Promise<void>) => {
    const step = progress.begin(title, people.length, 'users')
    try {
      await work({ targets, signal, onProgress: done => { step.update(done) } })
    } finally {
      step.end()
    }
  }
  await inStep('Signing up', peopleOptions => signUpPeople(people, peopleOptions))
  // Where signing in is the load, one alone, to see whether the targets are of one kind.
  if (profile.shares === undefined) await signInPeople(people.slice(0, 1), 1, { targets, signal, onProgress: () => {} })
  else await inStep('Signing in', peopleOptions => signInPeople(people, profile.devices, peopleOptions))
  const [first] = people
  if (first !== undefined && !signal.aborted) await makeSureTheyAgree(targets, first)
}

async function load (
  { options: { durationSeconds }, mode, actions, recorder, logoutCheck, progress, signal }: Run, people: Person[]
): Promise<Pick<Report, 'seconds' | 'generator'>> {
  const { act } = actions
  const schedule = { people, durationMs: durationSeconds * 1000, signal }
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  const elapsed = () => (performance.now() - startedAt) / 1000
  recorder.start()
  const step = progress.begin('Loading', durationSeconds, 's', () => describeSoFar(recorder, logoutCheck))
  const timer = setInterval(() => { step.update(Math.floor(elapsed())) }, showEveryMs)
  try {
    if (mode.kind === 'waves') await runWaves(actions, schedule)
    else if (mode.kind === 'open') {
      await runOpenLoop(act, { ...schedule, ratePerSecond: mode.ratePerSecond, onNotSent: recorder.recordNotSent })
    } else await runClosedLoop(act, schedule)
  } finally {
    clearInterval(timer)
    recorder.stop()
    logoutCheck.endLoad()
    step.update(Math.round(elapsed()))
    step.end()
    delay.disable()
  }
  const { user, system } = process.cpuUsage(cpuBefore)
  const seconds = elapsed()
  return {
    seconds, generator: { cpuShare: (user + system) / 1e6 / seconds, eventLoopDelayP99Ms: delay.percentile(99) / 1e6 }
  }
}

/** Everybody who is still signed in logs out, which is checked like any other logout. */
async function leave (run: Run, people: Person[]): Promise<void> {
  const signal = within(run)
  const waiting = [...people]
  await Promise.all(Array.from({ length: leavingAtOnce }, async () => {
    for (let person = waiting.pop(); person !== undefined; person = waiting.pop()) {
      // A session whose access token has expired takes two: it is refreshed first.
      const tries = 2 * person.sessions.length + leavingTries
      for (let attempt = 0; person.sessions.length > 0 && attempt < tries && !signal.aborted; attempt++) {
        await run.actions.logOut(person, performance.now())
      }
    }
  }))
}

async function removePeople (run: Run, people: Person[]): Promise<void> {
  if (people.length === 0) return
  const step = run.progress.begin('Deleting', people.length, 'users')
  const left = await deletePeople(people, {
    targets: run.targets, signal: run.hurry, onProgress: done => { step.update(done) }
  })
  step.end()
  if (left > 0) {
    run.progress.say(
      `${left} users could not be deleted: their names begin with ${people[0]?.username.replace(/\d+$/, '')}`
    )
  }
}

function describeSoFar ({ figures }: Recorder, { figures: { logouts, violationCount } }: LogoutCheck): string {
  const { recent: { requestsPerSecond, p99Ms }, requests, failed } = figures
  return `${Math.round(requestsPerSecond)} requests/s, p99 ${p99Ms === undefined ? '-' : `${p99Ms.toFixed(1)} ms`}, ` +
    `${requests} requests, ${failed} failed, ${logouts} logouts checked, ${violationCount} violations`
}

export function describeViolation ({
  what, loggedOutAt, loggedOutBy, acceptedBy, status, askedAfterMs, answeredAfterMs
}: Violation): string {
  return `VIOLATION: the logout that ${loggedOutBy} answered at ${loggedOutAt} did not end its ${what}: ` +
    `${acceptedBy} was asked ${askedAfterMs.toFixed(1)} ms later, and answered ${status} after ` +
    `${answeredAfterMs.toFixed(1)} ms.`
}
