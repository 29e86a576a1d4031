import { violationKinds, type Violation, type ViolationKind } from './checker.ts'
import { answerOf, describeOperation, type History } from './operations.ts'
import type { Run } from './run.ts'

/** Returns a description of a run, in lines for people. */
export function describeRun ({ history, injected, violations }: Run): string[] {
  const { operations, recoveries } = history
  const lines = [
    `${operations.length} operations, ${[...injected.values()].reduce((sum, { times }) => sum + times, 0)} faults, ${recoveries.length} recoveries, ${violations.length} violations`,
    ...describeAnswers(history)
  ]
  for (const [title, { times, slowestRecoveryMs }] of [...injected].sort(([a], [b]) => a.localeCompare(b))) {
    lines.push(`  ${times} × ${title}, all was well within ${slowestRecoveryMs} ms`)
  }
  return lines
}

/** Returns a line for each route, with the numbers of its answers. */
export function describeAnswers ({ operations }: History): string[] {
  const lines: string[] = []
  for (const [route, ofRoute] of groupBy(operations, ({ route }) => route)) {
    const answers = [...groupBy(ofRoute, answerOf)].sort(([, a], [, b]) => b.length - a.length)
    const slowestMs = Math.max(...ofRoute.map(({ startedAt, endedAt }) => endedAt - startedAt))
    lines.push(
      `  ${route}: ${ofRoute.length}, at most ${Math.round(slowestMs)} ms (${answers.map(([answer, { length }]) => `${answer}: ${length}`).join(', ')})`
    )
  }
  return lines
}

const maxDescribed = 5
const aroundMs = 1_000

/**
 * Returns a description of violations, each with the other operations on the same session.
 *
 * @param kinds for each kind, what must never be in a history
 */
export function describeViolations<Kind extends string = ViolationKind> (
  violations: Array<Violation<Kind>>,
  history: History,
  kinds: Readonly<Record<Kind, string>> = violationKinds as Readonly<Record<string, string>>
): string[] {
  const lines: string[] = []
  for (const { kind, text, operations } of violations.slice(0, maxDescribed)) {
    lines.push(
      `VIOLATION, ${kind}: ${text}. This must never be: ${kinds[kind]}.`,
      ...operations.map(operation => `  ${describeOperation(operation)}`)
    )
    const sessions = new Set(operations.map(({ session, issued }) => session ?? issued?.session))
    const [from, until] = [
      Math.min(...operations.map(({ startedAt }) => startedAt)) - aroundMs,
      Math.max(...operations.map(({ endedAt }) => endedAt)) + aroundMs
    ]
    const around = history.operations.filter(({ session, issued, ends, startedAt, endedAt }) =>
      endedAt > from &&
      startedAt < until &&
      [session, issued?.session, ...ends].some(id => id !== undefined && sessions.has(id)))
    lines.push(
      '  all about it, from a second before to a second after:',
      ...around.map(operation => `    ${describeOperation(operation)}`)
    )
  }
  if (violations.length > maxDescribed) lines.push(`and ${violations.length - maxDescribed} more violations`)
  return lines
}

export function groupBy<T> (things: readonly T[], keyOf: (thing: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const thing of things) {
    const group = groups.get(keyOf(thing))
    if (group === undefined) groups.set(keyOf(thing), [thing])
    else group.push(thing)
  }
  return groups
}
