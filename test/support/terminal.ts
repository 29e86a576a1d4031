import { spawn } from 'node:child_process'
import type { Test } from 'tap'
import { scratchFolder, type Env } from './app.ts'
import { compiledFile } from './server-process.ts'
import { undisturbed } from './undisturbed.ts'
import { until } from './wait.ts'

/** Returns the arguments for `script`, which runs a command in a terminal of its own. */
export function inTerminal (command: string): string[] {
  return process.platform === 'darwin' ? ['-q', '/dev/null', 'sh', '-c', command] : ['-qec', command, '/dev/null']
}

/**
 * Runs a command of signout in a terminal of its own, and types an answer after each prompt. Returns its exit code and
 * all that the terminal shows.
 */
export async function typeAnswers (
  t: Test, command: string, env: Env, answers: Array<[prompt: string, answer: string]>
): Promise<{ code: unknown, output: string }> {
  const child = spawn(
    ...undisturbed('script', inTerminal(`${process.execPath} ${compiledFile('cli.js')} ${command}`)),
    { cwd: scratchFolder(t), env: { PATH: process.env['PATH'], TERM: 'dumb', ...env }, timeout: 60_000 }
  )
  let output = ''
  child.stdout.on('data', (data: Buffer) => { output += data.toString() })
  const ended = new Promise(resolve => { child.once('close', resolve) })
  for (const [prompt, answer] of answers) {
    await until(`it asks ${prompt}`, () => output.includes(prompt), 60_000)
    child.stdin.write(answer)
  }
  return { code: await ended, output: output.replaceAll('\r', '') }
}
