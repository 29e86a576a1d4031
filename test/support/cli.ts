import { spawn } from 'node:child_process'
import type { Test } from 'tap'
import { scratchFolder, type Env } from './app.ts'
import { compiledFile } from './server-process.ts'
import { undisturbed } from './undisturbed.ts'

/** How a command ended, and what it printed. */
export interface CommandEnd {
  code: number | null
  stdout: string
  stderr: string
}

export interface CommandOptions {
  /** The settings; of the environment nothing else is there. */
  env?: Env
  /** What it reads. Without it the standard input is empty. */
  input?: string | Buffer
  /** The standard input is never closed. */
  keepOpen?: true
}

/** A command that takes longer is killed, and its code is null. */
const tooLongMs = 60_000

/** Runs the compiled command, in a folder without a .env, until it ends by itself. */
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
    /* It does not read. */
  })
  child.stdin.write(input)
  if (keepOpen === undefined) child.stdin.end()
  const code = await new Promise<number | null>(resolve => { child.once('close', resolve) })
  return { code, ...printed }
}

/** Runs a command that must succeed, and answers what it printed. */
export async function succeed (t: Test, args: string[], options?: CommandOptions): Promise<string> {
  const { code, stdout, stderr } = await signout(t, args, options)
  t.equal(code, 0, `${args.join(' ')}: ${stderr}`)
  t.equal(stderr, '', args.join(' '))
  return stdout
}

/** Runs a command that must fail with that code, and answers the one line that it says, without its beginning. */
export async function fail (t: Test, code: 1 | 2, args: string[], options?: CommandOptions): Promise<string> {
  const end = await signout(t, args, options)
  t.equal(end.code, code, `${args.join(' ')}: ${end.stderr}`)
  t.match(end.stderr, /^signout: [^\n]+\n$/, `one line: ${args.join(' ')}`)
  return end.stderr.replace(/^signout: /, '').trimEnd()
}
