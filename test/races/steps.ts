import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import type { FastifyInstance } from 'fastify'
import pg from 'pg'
import type { Test } from 'tap'
import { postgresUrl } from '../support/services.ts'

/**
 * A request, or several, whose steps are known and can be held: every SQL statement, the signing of a token, and
 * writing the blocklist. So a test makes an interleaving, and does not wait for it with a sleep.
 */
export interface Flow<T> {
  /** The steps that it has begun: `select users for update`, `commit`, `blocklist`, `sign`. */
  readonly steps: readonly string[]
  readonly answer: Promise<T>
  /** Resolves to true when it is held, or to false when it was answered before that. */
  readonly held: Promise<boolean>
  /** Resolves to true when it was answered, or to false when it waits in Postgres for a lock of another. */
  settles (): Promise<boolean>
  release (): void
}

/** The state of a flow, which its work carries along. */
interface Course {
  readonly name: string
  readonly steps: string[]
  /** Called before each step, which waits for the result. */
  pass (): Promise<void> | undefined
  /** The process id of the connection on which a statement of it is under way. */
  backend: number | undefined
}

/** A step of a flow, at the instant at which it was let through. */
export interface Moment {
  flow: string
  step: string
}

export interface Stepper {
  /**
   * Begins a flow. It is held before the step of that number, counted from 0, if it gets there, unless that step is
   * `unlessStep`. Or it is held before the first step of that name. Flows that are still held when the test ends are
   * released.
   */
  start<T> (name: string, work: () => Promise<T>, holdBefore?: number | string, unlessStep?: string): Flow<T>
  /** Returns the steps of all flows since the last call, in the order in which they were let through. */
  takeMoments (): Moment[]
}

const courses = new AsyncLocalStorage<Course>()
/** The time after which Postgres is asked again whether a flow is blocked. */
const askAgainMs = 4
/** The time after which a flow that has not ended and is not blocked counts as hanging, in milliseconds. */
const patienceMs = 20_000

type Query = (this: pg.Client, ...args: unknown[]) => unknown
type Connect = (this: pg.Pool, done?: (...results: unknown[]) => void) => unknown

/** Watches the steps of requests to these apps, until the test ends. */
export async function stepThrough (t: Test, apps: FastifyInstance[]): Promise<Stepper> {
  const moments: Moment[] = []
  const releases: Array<() => void> = []
  const observer = new pg.Client({ connectionString: postgresUrl() })
  await observer.connect()
  t.teardown(async () => {
    // A flow that is held keeps its app from closing.
    for (const release of releases) release()
    await observer.end()
  })
  watchPostgres(t, step)
  for (const { accessTokens, revoker } of apps) {
    watch(t, accessTokens, 'sign', step)
    watch(t, revoker, 'revoke', step, 'blocklist')
  }

  async function step (course: Course, label: string): Promise<void> {
    course.steps.push(label)
    await course.pass()
    moments.push({ flow: course.name, step: label })
  }

  async function isBlocked (backend: number): Promise<boolean> {
    const { rows } = await observer.query('select cardinality(pg_blocking_pids($1)) > 0 as blocked', [backend])
    return rows[0].blocked
  }

  return {
    start (name, work, holdBefore, unlessStep) {
      const flow = startFlow(name, work, { holdBefore, unlessStep }, isBlocked)
      releases.push(flow.release)
      return flow
    },
    takeMoments: () => moments.splice(0)
  }
}

function startFlow<T> (
  name: string,
  work: () => Promise<T>,
  { holdBefore, unlessStep }: { holdBefore: number | string | undefined, unlessStep: string | undefined },
  isBlocked: (backend: number) => Promise<boolean>
): Flow<T> {
  const { promise: released, resolve: release } = withResolvers<undefined>()
  const { promise: held, resolve: decide } = withResolvers<boolean>()
  const steps: string[] = []
  const course: Course = {
    name,
    steps,
    backend: undefined,
    pass () {
      const isThere = holdBefore === steps.length - 1 || holdBefore === steps.at(-1)
      if (!isThere || steps.at(-1) === unlessStep) return
      decide(true)
      return released
    }
  }
  let isAnswered = false
  // An injected request begins when it is first awaited: here, and not where its answer is awaited.
  const answer = courses
    .run(course, async () => await work())
    .finally(() => {
      isAnswered = true
      decide(false)
    })
  // The caller awaits it later.
  answer.catch(() => {})
  return {
    steps,
    answer,
    held,
    release: () => { release(undefined) },
    async settles () {
      const giveUpAt = performance.now() + patienceMs
      for (let begun = -1; ;) {
        await Promise.race([answer.catch(() => {}), new Promise(resolve => setTimeout(resolve, askAgainMs))])
        if (isAnswered) return true
        // Most statements end within that time. Only one that does not may be blocked.
        const hasGoneOn = steps.length !== begun
        begun = steps.length
        const { backend } = course
        if (!hasGoneOn && backend !== undefined && await isBlocked(backend) && course.backend === backend) return false
        if (performance.now() > giveUpAt) throw new Error(`${name} hangs after ${steps.join(', ')}.`)
      }
    }
  }
}

type Step = (course: Course, label: string) => Promise<void>

function watch<K extends string> (
  t: Test, object: Record<K, (...args: never[]) => Promise<unknown>>, method: K, step: Step, label: string = method
): void {
  const original = object[method] as (...args: unknown[]) => Promise<unknown>
  const watched = async (...args: unknown[]) => {
    const course = courses.getStore()
    if (course !== undefined) await step(course, label)
    return await original.apply(object, args)
  }
  object[method] = watched as (typeof object)[K]
  t.teardown(() => { object[method] = original as (typeof object)[K] })
}

function watchPostgres (t: Test, step: Step): void {
  const client = pg.Client.prototype as unknown as { query: Query }
  const pool = pg.Pool.prototype as unknown as { connect: Connect }
  const { query } = client
  const { connect } = pool
  client.query = function (...args) {
    const course = courses.getStore()
    if (course === undefined) return query.apply(this, args)
    const backend = (this as pg.Client & { processID: number }).processID
    const done = () => { course.backend = undefined }
    const send = () => {
      course.backend = backend
      const result = query.apply(this, args)
      if (result instanceof Promise) result.then(done, done)
      return result
    }
    const callback = args.at(-1)
    if (typeof callback === 'function') {
      args[args.length - 1] = (...results: unknown[]) => {
        done()
        callback(...results)
      }
    }
    return step(course, labelOf(args[0])).then(send)
  }
  // Bound, because a connection that becomes free calls back from the flow that released it.
  pool.connect = function (callback) {
    return callback === undefined ? connect.call(this) : connect.call(this, AsyncResource.bind(callback))
  }
  t.teardown(() => {
    client.query = query
    pool.connect = connect
  })
}

/** Returns a short label of a statement. */
function labelOf (query: unknown): string {
  const text = typeof query === 'string' ? query : (query as { text: string }).text
  if (text.includes('pg_advisory_xact_lock')) return 'lock'
  const [verb = ''] = /^\w+/.exec(text) ?? []
  if (/clock_timestamp\(\)\) \* 1000/.test(text)) return 'clock'
  // Sessions are compared with the instant before which everyone is out, which is no step of its own.
  const outer = text.replaceAll(/\(\s*select (?:max\([^)]*\) from "revocations"|\S+ from "roles")[^)]*\)/g, '')
  const table = /(?:from|into|update) "(\w+)"/.exec(outer)?.[1]
  const lock = / for (update|no key update|share)/.exec(text)?.[0] ?? ''
  return [verb, table].filter(part => part !== undefined).join(' ') + lock
}

function withResolvers<T> (): { promise: Promise<T>, resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>(_resolve => { resolve = _resolve })
  return { promise, resolve }
}
