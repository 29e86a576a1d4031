import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { findProgramFolder } from '../../scripts/services/programs.ts'

/** Which core a process is to run on: what is measured has one of its own, as far as there are enough. */
export type Core = 'server' | 'load' | 'any'

/** A process of the benchmark that answers questions. */
export interface Helper {
  readonly child: ChildProcess
  ask<T> (question: string, argument?: unknown): Promise<T>
  stop (): Promise<void>
}

interface Question { id: number, question: string, argument: unknown }
interface Answer { id: number, answer?: unknown, error?: string }

const canPin = findProgramFolder('taskset') !== undefined && availableParallelism() > 1

/** How processes share this machine, in words. */
const sharing: string = canPin
  ? 'servers on core 0, Redis and load on core 1'
  : 'no process is bound to a core: there is no taskset, or one core'

/** What was measured on. */
export interface Machine {
  cpu: string
  cores: number
  memoryGiB: number
  node: string
  redis: string
  /** Which process runs on which core. */
  sharing: string
}

export function describeMachine (redis: string): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    redis,
    sharing
  }
}

/** A program and its arguments, bound to a core where that can be done. */
export function pinned (core: Core, program: string, args: string[]): [string, string[]] {
  if (!canPin || core === 'any') return [program, args]
  return ['taskset', ['-c', core === 'server' ? '0' : '1', program, ...args]]
}

const running = new Set<ChildProcess>()
let isInterrupted = false

/**
 * Ends what is measured and what measures: whatever is being asked fails, and what was opened is closed as after any
 * failure.
 */
export function interrupt (): void {
  isInterrupted = true
  for (const child of running) child.kill('SIGKILL')
}

/** Starts a compiled file of this folder as a process of its own. */
export async function startHelper (file: string, core: Core, argument?: unknown): Promise<Helper> {
  if (isInterrupted) throw new Error('Interrupted.')
  const [program, args] = pinned(core, process.execPath, [
    ...execArguments(file), join(import.meta.dirname, file), JSON.stringify(argument ?? null)
  ])
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  running.add(child)
  const waiting = new Map<number, { resolve: (answer: unknown) => void, reject: (error: Error) => void }>()
  let lastId = 0
  let hasEnded = false
  child.on('message', ({ id, answer, error }: Answer) => {
    const { resolve, reject } = waiting.get(id) ?? {}
    waiting.delete(id)
    if (error === undefined) resolve?.(answer)
    else reject?.(new Error(error))
  })
  child.once('exit', (code, signal) => {
    hasEnded = true
    running.delete(child)
    for (const { reject } of waiting.values()) reject(new Error(`${file} ended with ${code ?? signal}.`))
  })
  const helper: Helper = {
    child,
    ask: (question, argument) => new Promise((resolve, reject) => {
      if (hasEnded) return reject(new Error(`${file} has ended.`))
      const id = ++lastId
      waiting.set(id, { resolve: resolve as (answer: unknown) => void, reject })
      child.send({ id, question, argument } satisfies Question)
    }),
    async stop () {
      if (hasEnded) return
      const ended = once(child, 'exit')
      // A profile is written when a process ends by itself.
      child.disconnect()
      const timer = setTimeout(() => { child.kill('SIGKILL') }, 5_000)
      await ended
      clearTimeout(timer)
    }
  }
  await helper.ask('ready')
  return helper
}

/** BENCH_PROFILE=folder profiles the servers, one file for each. */
function execArguments (file: string): string[] {
  const folder = process.env['BENCH_PROFILE']
  return folder !== undefined && file === 'server.js'
    ? ['--cpu-prof', '--cpu-prof-interval', '200', '--cpu-prof-dir', folder]
    : []
}

/** What the processes at the other end do: they answer by name, and end when nobody asks any more. */
export function answer (answers: Record<string, (argument: never) => unknown>): void {
  process.on('message', async ({ id, question, argument }: Question) => {
    try {
      process.send?.({ id, answer: await answers[question]?.(argument as never) } satisfies Answer)
    } catch (error) {
      process.send?.({ id, error: (error as Error).stack ?? String(error) } satisfies Answer)
    }
  })
  process.on('disconnect', () => { process.exit() })
}

/** Microseconds of processor time that this process has taken, in the program and in the system for it. */
export function usedMicros (): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** What a helper was started with. */
export function givenArgument<T> (): T {
  return JSON.parse(process.argv[2] ?? 'null') as T
}
