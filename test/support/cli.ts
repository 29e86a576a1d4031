import { spawn } from 'node:child_process'
import type { Test } from 'tap'
import { scratchFolder, type Env } from './app.ts'
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

/** A command that takes longer is killed, and its code is null. */
const tooLongMs = 60_000

/** Runs the compiled command, in a folder without a .env, and waits until it ends. */
export async function signout (
  t: Test, args: string[], { env = {}, input = '', keepOpen }: CommandOptions = {}
): Promise<CommandEnd> {
  const child = spawn(...undisturbed(process.execPath, [compiledFile('cli.js'), ...args], env), {
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
}

/** Runs a command that must succeed, and returns its output. */
export async function succeed (t: Test, args: string[], options?: CommandOptions): Promise<string> {
  const { code, stdout, stderr } = await signout(t, args, options)
  t.equal(code, 0, `${args.join(' ')}: ${stderr}`)
  t.equal(stderr, '', args.join(' '))
  return stdout
}

/** Runs a command that must fail with that code, and returns its one line of error, without `signout: `. */
export async function fail (t: Test, code: 1 | 2, args: string[], options?: CommandOptions): Promise<string> {
  const end = await signout(t, args, options)
  t.equal(end.code, code, `${args.join(' ')}: ${end.stderr}`)
  t.match(end.stderr, /^signout: [^\n]+\n$/, `one line: ${args.join(' ')}`)
  return end.stderr.replace(/^signout: /, '').trimEnd()
}
