import type { Env } from './app.ts'

/** Whether it is counted which lines are run. */
const isCounting = process.env['_TAPJS_PROCESSINFO_COVERAGE_'] === '1'

/**
 * What to spawn so that a program runs as from a shell. Tap has every Node process below a test tell which modules it
 * loads, by NODE_OPTIONS, which makes each start twice as long; that serves nobody but `npm run coverage`.
 */
export function undisturbed (
  program: string, args: string[], { NODE_OPTIONS: ours }: Env = {}
): [program: string, args: string[]] {
  if (isCounting) return [program, args]
  return ['env', [...ours === undefined ? ['-u', 'NODE_OPTIONS'] : [`NODE_OPTIONS=${ours}`], program, ...args]]
}
