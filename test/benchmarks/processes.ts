import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { findProgramFolder } from '../../scripts/services/programs.ts'

/** The core on which a process runs. The server has a core of its own, if the machine has several and has `taskset`. */
export type Core = 'server' | 'load' | 'any'

/** A child process of the benchmark, which is called by messages. */
export interface Helper {
  readonly child: ChildProcess
  ask<T> (question: string, argument?: unknown): Promise<T>
  stop (): Promise<void>
}

interface Question { id: number, question: string, argument: unknown }
interface Answer { id: number, answer?: unknown, error?: string }

const canPin = findProgramFolder('taskset') !== undefined && availableParallelism() > 1

/** A description of how the processes share this machine. */
const sharing: string = canPin
  ? 'servers on core 0, Redis and load on core 1'
  : 'no process bound to a core, because taskset is missing or there is one core'

/** The machine on which the benchmark ran. */
export interface Machine {
  cpu: string
  cores: number
  memoryGiB: number
  node: string
  redis: string
  /** A description of which process runs on which core. */
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

/** Returns a program with its arguments, bound to a core if possible. */
export function pinned (core: Core, program: string, args: string[]): [string, string[]] {
  if (!canPin || core === 'any') return [program, args]
  return ['taskset', ['-c', core === 'server' ? '0' : '1', program, ...args]]
}

const running = new Set<ChildProcess>()
let isInterrupted = false

/** Kills all child processes. Pending calls to them then fail, and everything is closed as after any other failure. */
export function interrupt (): void {
  isInterrupted = true
  for (const child of running) child.kill('SIGKILL')
}

/**
 * Starts a compiled file of this folder as a process of its own. Resolves when it is ready.
 *
 * @param stdout where its standard output goes: to this process's own, or with 'ignore' to `/dev/null`
 */
export async function startHelper (
  file: string, core: Core, argument?: unknown, stdout: 'inherit' | 'ignore' = 'inherit'
): Promise<Helper> {
  if (isInterrupted) throw new Error('Interrupted.')
  const [program, args] = pinned(core, process.execPath, [
    ...execArguments(file), join(import.meta.dirname, file), JSON.stringify(argument ?? null)
  ])
  const child = spawn(program, args, { stdio: ['ignore', stdout, 'inherit', 'ipc'] })
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
      // Node writes a profile only if the process exits without a signal.
      child.disconnect()
      const timer = setTimeout(() => { child.kill('SIGKILL') }, 5_000)
      await ended
      clearTimeout(timer)
    }
  }
  await helper.ask('ready')
  return helper
}

/**
 * Returns the options of Node for a file. With BENCH_PROFILE=folder, each server writes a CPU profile to that folder.
 */
function execArguments (file: string): string[] {
  const folder = process.env['BENCH_PROFILE']
  return folder !== undefined && file === 'server.js'
    ? ['--cpu-prof', '--cpu-prof-interval', '200', '--cpu-prof-dir', folder]
    : []
}

/** Makes this process a helper, which serves messages by their name. It exits when its parent disconnects. */
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

/** Returns the processor time of this process in microseconds, user and system time together. */
export function usedMicros (): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Returns the argument with which this helper was started. */
export function givenArgument<T> (): T {
  return JSON.parse(process.argv[2] ?? 'null') as T
}
