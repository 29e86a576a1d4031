import { AsyncLocalStorage } from 'node:async_hooks'
import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { PassThrough } from 'node:stream'
import type { Test } from 'tap'
import { run } from '../../src/cli/run.ts'
import { scratchFolder, type Env } from './app.ts'
import { nodeArgs } from './node-args.ts'
import { compiledFile } from './server-process.ts'
import { undisturbed } from './undisturbed.ts'

/** The end of a command, and its output. */
export interface CommandEnd {
  code: number | null
  stdout: string
  stderr: string
}

export interface CommandOptions {
  /** The settings. The command gets nothing else of the environment but `PATH`. */
  env?: Env
  /** The standard input. Empty by default. */
  input?: string | Buffer
  /** Set to keep the standard input open for ever. */
  keepOpen?: true
}

type Run = (t: Test, args: string[], options?: CommandOptions) => Promise<CommandEnd>

/** Ways to run a command and to judge its end. */
export interface Commands {
  /** Runs a command, and returns its end and its output. */
  signout: Run
  /** Runs a command that must succeed, and returns its output. */
  succeed (t: Test, args: string[], options?: CommandOptions): Promise<string>
  /** Runs a command that must fail with that code, and returns its one line of error, without `signout: `. */
  fail (t: Test, code: 1 | 2 | 3, args: string[], options?: CommandOptions): Promise<string>
}

function commandsBy (signout: Run): Commands {
  return {
    signout,
    async succeed (t, args, options) {
      const { code, stdout, stderr } = await signout(t, args, options)
      t.equal(code, 0, `${args.join(' ')}: ${stderr}`)
      t.equal(stderr, '', args.join(' '))
      return stdout
    },
    async fail (t, code, args, options) {
      const end = await signout(t, args, options)
      t.equal(end.code, code, `${args.join(' ')}: ${end.stderr}`)
      t.match(end.stderr, /^signout: [^\n]+\n$/, `one line: ${args.join(' ')}`)
      return end.stderr.replace(/^signout: /, '').trimEnd()
    }
  }
}

/** A command that takes longer is killed, and its code is null. */
const tooLongMs = 60_000

/** Runs each command as a process of its own, compiled, in a folder without a .env. That takes a second each time. */
export const asProcess: Commands = commandsBy(async (t, args, { env = {}, input = '', keepOpen } = {}) => {
  const child = spawn(...undisturbed(process.execPath, [...nodeArgs, compiledFile('cli.js'), ...args], env), {
    cwd: scratchFolder(t),
    env: { PATH: process.env['PATH'], ...env },
    stdio: 'pipe',
    timeout: tooLongMs,
    killSignal: 'SIGKILL'
  })
  const printed = { stdout: '', stderr: '' }
  child.stdout.on('data', (data: Buffer) => { printed.stdout += data.toString() })
  child.stderr.on('data', (data: Buffer) => { printed.stderr += data.toString() })
  child.stdin.on('error', () => {
    /* The command may not read its input. */
  })
  child.stdin.write(input)
  if (keepOpen === undefined) child.stdin.end()
  const code = await new Promise<number | null>(resolve => { child.once('close', resolve) })
  return { code, ...printed }
})

interface Surroundings {
  env: NodeJS.ProcessEnv
  stdin: PassThrough
  stdout: string
  stderr: string
}

/** The environment and the streams of a command that runs in this process. */
const surroundings = new AsyncLocalStorage<Surroundings>()
let areReplaced = false

/** Lets the code of a command see its own environment and streams. All other code sees those of the process. */
function replaceSurroundings (): void {
  if (areReplaced) return
  areReplaced = true
  // A command reads a .env of its folder: here there is none.
  process.chdir(tmpdir())
  for (const name of ['stdout', 'stderr'] as const) {
    const write = process[name].write.bind(process[name]) as (...args: unknown[]) => boolean
    process[name].write = (...args: unknown[]) => {
      const own = surroundings.getStore()
      if (own === undefined) return write(...args)
      own[name] += String(args[0])
      return true
    }
  }
  const { env, stdin } = process
  Object.defineProperty(process, 'env', { get: () => surroundings.getStore()?.env ?? env })
  Object.defineProperty(process, 'stdin', { get: () => surroundings.getStore()?.stdin ?? stdin })
}

/** Runs commands in the process of the test, which takes a fraction of the time. */
export const { signout, succeed, fail } = commandsBy(async (_t, args, { env = {}, input = '', keepOpen } = {}) => {
  replaceSurroundings()
  const own: Surroundings = { env: { ...env, NO_COLOR: '1' }, stdin: new PassThrough(), stdout: '', stderr: '' }
  own.stdin.write(input)
  if (keepOpen === undefined) own.stdin.end()
  const code = await surroundings.run(own, () => run([process.execPath, 'signout', ...args])) ?? null
  return { code, stdout: own.stdout, stderr: own.stderr }
})
