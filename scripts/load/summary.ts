import { colored, table } from '../../src/cli/terminal.ts'
import type { Latencies } from './histogram.ts'
import { showingOf } from './outcome.ts'
import { requestLines, type Operation } from './profiles.ts'
import type { OperationFigures, Point, Report, RevocationFigures } from './report.ts'

/** The smallest number of intervals of a run whose beginning and end can be compared. */
const minTrendPoints = 60

/** Returns the notes on a run, for the terminal and for the HTML report. */
export function summaryLines (report: Report): string[] {
  const { totals, seconds, users, generator, endedBy } = report
  const lines = [
    `Profile ${report.profile}, ${modeOf(report)}, ${users} users, ${seconds.toFixed(1)} s${endedBy === 'interruption' ? ' (interrupted)' : ''}: ${totals.requests} requests, ${totals.requestsPerSecond.toFixed(1)} per second, ${totals.failed} refused or not answered.`,
    report.coordinatedOmission
  ]
  const trend = describeTrend(report)
  if (trend !== undefined) lines.push(trend)
  if (totals.notSent > 0) {
    lines.push(
      `${totals.notSent} requests were due and never sent, because no user was free${endedBy === 'interruption' ? ' before the interruption.' : '. Use more --users, more targets, or a lower --rate.'}`
    )
  }
  if (report.ownReplicas) {
    lines.push(
      'The replicas were started for this run on this machine, with RATE_LIMITS=off. Never use that setting where the public can reach the service.'
    )
  }
  if (generator.cpuShare > 0.9) {
    lines.push(
      `The load program was busy ${Math.round(100 * generator.cpuShare)} % of the time. The figures may show its limit, and not the limit of the targets.`
    )
  }
  return lines
}

/**
 * Returns the usual latencies at the beginning and at the end, which show if it became slower. Undefined for a short
 * run.
 */
function describeTrend ({ timeline }: Report): string | undefined {
  if (timeline.length < minTrendPoints) return undefined
  const tenth = Math.floor(timeline.length / 10)
  const usual = (points: Point[], pick: (latency: Latencies) => number) => {
    const values = points
      .flatMap(({ latencyMs }) => latencyMs === undefined ? [] : [pick(latencyMs)])
      .sort((a, b) => a - b)
    return `${values[Math.floor(values.length / 2)]?.toFixed(1) ?? '-'} ms`
  }
  const describe = (points: Point[]) =>
    `p50 ${usual(points, ({ p50 }) => p50)} and p99 ${usual(points, ({ p99 }) => p99)}`
  return `Typical latency in the first tenth of the run: ${describe(timeline.slice(0, tenth))}. ` +
    `In the last tenth: ${describe(timeline.slice(-tenth))}.`
}

/** Returns the mode of sending requests, in a few words. */
export function modeOf ({ mode }: Report): string {
  switch (mode.kind) {
    case 'open': return `open loop, ${mode.ratePerSecond} requests due per second`
    case 'closed': return 'closed loop'
    case 'waves': return 'all users at once, in waves'
  }
}

/** Returns the results of the logout checks, in a line. */
export function verdictLine ({
  violationCount, logouts, logoutsUnderLoad, refusedEverywhere, answers, neverAsked, lastAskedMs, lastAnsweredMs,
  askedAgain
}: RevocationFigures): string {
  if (logouts === 0) return 'No logout was answered 200, so no logout was checked.'
  const again =
    askedAgain.tokens > 0
      ? ` At the end, ${askedAgain.tokens} of the tokens were sent once more: ${describeAnswers(askedAgain.answers)}.`
      : ''
  const last =
    lastAskedMs === undefined || lastAnsweredMs === undefined
      ? ''
      : ` The last replica got its request at most ${lastAskedMs.max.toFixed(1)} ms after the logout's answer (median ${lastAskedMs.median.toFixed(1)} ms), and answered after at most ${lastAnsweredMs.max.toFixed(1)} ms.`
  const unreached =
    neverAsked > 0
      ? ` ${neverAsked} of these requests could not be sent${last === '' ? '' : ', and are left out of these times'}.`
      : ''
  const all =
    refusedEverywhere === logouts ? 'all refused everywhere' : `${refusedEverywhere} of them refused everywhere`
  return `${violationCount} violation${violationCount === 1 ? '' : 's'} of ${logouts} checked logouts ` +
    `(${logoutsUnderLoad} under load), ${all} (${describeAnswers(answers)}).${last}${unreached}${again}`
}

function describeAnswers (answers: RevocationFigures['answers']): string {
  const words = { refused: 'refused', accepted: 'ACCEPTED', unavailable: 'answered 503', inconclusive: 'inconclusive' }
  const parts = Object.entries(words).flatMap(([verdict, word]) =>
    answers[verdict as keyof typeof words] > 0 ? [`${answers[verdict as keyof typeof words]} ${word}`] : []
  )
  return parts.join(', ') || 'no answer'
}

const headings = ['operation', 'requests', 'per second', 'p50 ms', 'p90 ms', 'p99 ms', 'p99.9 ms', 'max ms', 'answers']

/**
 * Returns a row for each operation, and one for all. In a closed loop, each operation also has a row of uncorrected
 * latencies.
 */
export function figureRows ({ operations, totals, seconds }: Report): { headings: string[], rows: string[][] } {
  const rows = (Object.entries(operations) as [Operation, OperationFigures][]).flatMap(
    ([operation, { requests, statuses, latencyMs, measuredLatencyMs }]) => {
      const line = `${requestLines[operation]}`
      const row = [
        line, String(requests), (requests / seconds).toFixed(1), ...cells(latencyMs), describeStatuses(statuses)
      ]
      return measuredLatencyMs === undefined ? [row] : [row, ['  as measured', '', '', ...cells(measuredLatencyMs), '']]
    }
  )
  return {
    headings,
    rows: [
      ...rows, ['all', String(totals.requests), totals.requestsPerSecond.toFixed(1), ...cells(totals.latencyMs), '']
    ]
  }
}

function cells (latency: Latencies | undefined): string[] {
  if (latency === undefined) return ['-', '-', '-', '-', '-']
  return [latency.p50, latency.p90, latency.p99, latency.p999, latency.max].map(ms => ms.toFixed(ms < 100 ? 1 : 0))
}

function describeStatuses (statuses: Record<string, number>): string {
  return Object.entries(statuses).map(([status, count]) => `${status}: ${count}`).join(', ')
}

/** Prints the figures, the notes and the verdict at the end of a run. */
export function printSummary (report: Report, print: (text: string) => void): void {
  const { headings, rows } = figureRows(report)
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map(row => row[column]?.length ?? 0))
  )
  const aligned = [headings, ...rows].map(row =>
    row.map((cell, column) => column === 0 || column === row.length - 1 ? cell : cell.padStart(widths[column] ?? 0))
  )
  const verdict = verdictLine(report.revocation)
  print(`\n${table(aligned)}\n`)
  for (const line of summaryLines(report)) print(line)
  print(colored(({ good: 'green', bad: 'red', open: 'yellow' } as const)[showingOf(report.revocation)], verdict))
}
