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

/** The largest number of violations that are printed as they happen. The reports have more. */
const maxPrinted = 20
/** The pause between two updates of the progress. */
const showEveryMs = 250
/** The number of users who log out at the same time after the load. */
const leavingAtOnce = 16
const leavingTries = 5
/** The longest time of the last logouts, and of the last checks. */
const tidyMs = 60_000

export interface RunOptions {
  options: LoadOptions
  targets: Target[]
  ownReplicas: boolean
  progress: Progress
  /** Ends the load. The report then covers the load so far. */
  signal: AbortSignal
  /** Also ends the steps after the load. */
  hurry: AbortSignal
  /**
   * Called with the report once the load is over, and again when it has more. The steps after the load may be cut
   * short.
   */
  keep: (report: Report) => void
}

/** The parts of a run, created once. */
interface Run extends RunOptions {
  profile: Profile
  mode: Report['mode']
  recorder: Recorder
  logoutCheck: LogoutCheck
  actions: Actions
}

/**
 * Creates users, loads the targets, logs all users out, and resolves with the report. Rejects with a `LoadError` if
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
  if (figures.requests === 0) throw new LoadError('No request was answered during the load. Use a longer --duration.')
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

/** Returns a signal that aborts when a step after the load takes too long, or when the user cuts the run short. */
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
      return 'Latencies are corrected for coordinated omission afterwards, by the rule of HdrHistogram. Each ' +
        'operation has its own interval, in which the next request of a user is expected. The rows "as measured" ' +
        'show the latencies before the correction.'
    case 'waves':
      return 'Latencies count from when everybody began, so they are corrected for coordinated omission.'
  }
}

/** Registers the users, and signs them in unless that is the load. */
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
  // If signing in is the load, one user is enough to check that the targets belong together.
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

/** Logs out all users who are still signed in. These logouts are checked like any other. */
async function leave (run: Run, people: Person[]): Promise<void> {
  const signal = within(run)
  const waiting = [...people]
  await Promise.all(Array.from({ length: leavingAtOnce }, async () => {
    for (let person = waiting.pop(); person !== undefined; person = waiting.pop()) {
      // A session with an expired access token takes two tries, because it is refreshed first.
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
      `${left} users could not be deleted. Delete them as an administrator. Their names begin with ${people[0]?.username.replace(/\d+$/, '')}`
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
