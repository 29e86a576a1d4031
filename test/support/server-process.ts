import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { packageRoot } from '../../src/package-root.ts'
import { scratchFolder, type Env } from './app.ts'
import { nodeArgs } from './node-args.ts'
import type { Owner } from './teardown.ts'
import { undisturbed } from './undisturbed.ts'
import { until } from './wait.ts'

type Program = 'server.js' | 'cli.js'

/** The largest output that is kept, in characters: a process that runs for hours prints more. */
const maxOutputKept = 1_000_000

/** A server process. */
export interface ServerProcess {
  address: string
  child: ChildProcess
  /** Returns its output so far, or the last part of it. */
  output (): string
  /** Its exit code, or the signal that ended it. */
  ended: Promise<number | string | null>
}

/**
 * Starts the compiled server as a process of its own, without waiting. It is killed when the test ends.
 *
 * @param program a program of the present build, or the path of one of another build
 */
export function spawnServer (
  t: Owner, env: Env, program: Program | { file: string } = 'server.js', args: string[] = []
): Omit<ServerProcess, 'address'> {
  const { cwd = scratchFolder(t), ...rest } = env
  // In a folder of its own, so that no .env is read by accident.
  const file = typeof program === 'string' ? compiledFile(program) : program.file
  const child = spawn(...undisturbed(process.execPath, [...nodeArgs, file, ...args], rest), {
    cwd, env: { PATH: process.env['PATH'], ...rest }, stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString()
      if (output.length > 2 * maxOutputKept) output = output.slice(-maxOutputKept)
    })
  }
  const ended = new Promise<number | string | null>(resolve => {
    child.once('close', (code, signal) => { resolve(code ?? signal) })
  })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return { child, ended, output: () => output }
}

/** Starts a server process on a port of the system's choice, and waits until it listens. */
export async function startServer (
  t: Owner, env: Env, program?: Parameters<typeof spawnServer>[2]
): Promise<ServerProcess> {
  const server = spawnServer(t, { PORT: '0', ...env }, program)
  let hasEnded = false
  server.ended.then(() => { hasEnded = true })
  await until('the server listens', () => hasEnded || server.output().includes('Documentation: '), 180_000)
  const address = /Listening: (http:\/\/[^"\s]+)/.exec(server.output())?.[1]
  if (address === undefined) throw new Error(`The server did not start:\n${server.output()}`)
  return { ...server, address }
}

/** Returns what a server process has said, as texts: the message of each line of its log, and every other line. */
export function messagesIn (output: string): string[] {
  return output.trimEnd().split('\n').map(line => line.startsWith('{') ? String(JSON.parse(line).msg) : line)
}

let built = false

/** Returns the path of a compiled program, as users run it. Compiles the source first if that is newer. */
export function compiledFile (name: Program): string {
  if (!built) {
    const build = [join(packageRoot, 'scripts', 'build.js'), '--without-declarations']
    execFileSync(...undisturbed(process.execPath, build), { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  built = true
  return join(packageRoot, 'dist', 'src', name)
}
