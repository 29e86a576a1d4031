import type { Env } from './app.ts'

/** True if tap counts which lines are run. */
const isCounting = process.env['_TAPJS_PROCESSINFO_COVERAGE_'] === '1'

/**
 * Returns what to spawn so that a program runs as from a shell. Through NODE_OPTIONS, tap makes every Node process
 * below a test list the modules that it loads. Each start then takes twice as long, and only `npm run coverage` needs
 * the list.
 */
export function undisturbed (
  program: string, args: string[], { NODE_OPTIONS: ours }: Env = {}
): [program: string, args: string[]] {
  if (isCounting) return [program, args]
  return ['env', [...ours === undefined ? ['-u', 'NODE_OPTIONS'] : [`NODE_OPTIONS=${ours}`], program, ...args]]
}
