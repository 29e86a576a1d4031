import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { showingOf } from './outcome.ts'
import type { Report, Violation } from './report.ts'
import { figureRows, modeOf, summaryLines, verdictLine } from './summary.ts'

/** The largest number of violations in the page. The JSON has more. */
const maxViolationsShown = 200

const uPlotMain = createRequire(import.meta.url).resolve('uplot')
const ofUPlot = (name: string) => readFileSync(join(uPlotMain, '..', name), 'utf8')
const ofPage = (name: string) => readFileSync(join(import.meta.dirname, 'page', name), 'utf8')

/**
 * Returns the report as one HTML file that needs no other: it holds the scripts, the styles and the figures. Its
 * content security policy forbids all requests.
 */
export function htmlOf (report: Report): string {
  const title = `signout under load: ${report.profile}, ${report.startedAt}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${escape(title)}</title>
<style>
${ofUPlot('uPlot.min.css')}
${ofPage('page.css')}
</style>
</head>
<body>
<main>
<h1>signout under load</h1>
${verdictOf(report)}
${factsOf(report)}
${plots.map(([id, heading, explanation]) => plotOf(id, heading, id === 'checks' && report.revocation.logoutsUnderLoad === 0 ? noChecks : explanation)).join('\n')}
${tableOf(report)}
${violationsOf(report.revocation.violations, report.revocation.violationCount)}
</main>
<script type="application/json" id="report">${JSON.stringify(report).replaceAll('<', '\\u003c')}</script>
<script>
${ofUPlot('uPlot.iife.min.js')}
</script>
<script type="module">
${ofPage('page.js')}
</script>
</body>
</html>
`
}

const plots = [
  [
    'throughput', 'Throughput',
    'Requests per second that were answered or given up. The axis is nearly logarithmic, and begins at 0.'
  ],
  ['latency', 'Latency over time', 'Percentiles of all requests in each interval. The axis is logarithmic.'],
  [
    'distribution', 'Latency distribution',
    'How many requests took at most this long. At 99 %, one request in a hundred took longer. Both axes are logarithmic.'
  ],
  ['statuses', 'Status codes', 'Status codes of the answers, or the reason why there was no answer.'],
  [
    'checks',
    'Revocation checks',
    "Answers to tokens that were logged out, and how long after a logout's answer the last replica got its request."
  ]
] as const
const noChecks = 'No user logged out during the load. All users logged out after it, and these logouts were checked.'

function plotOf (id: string, heading: string, explanation: string): string {
  return `<section>\n<h2>${heading}</h2>\n<p>${explanation}</p>\n<div class="plot" id="${id}"></div>\n</section>`
}

function verdictOf ({ revocation }: Report): string {
  return `<p class="verdict ${showingOf(revocation)}" role="status">${escape(verdictLine(revocation))}</p>`
}

function factsOf (report: Report): string {
  const { totals } = report
  const facts: [string, string][] = [
    ['Targets', `${report.targets.join(', ')}${report.ownReplicas ? ' (started for this run)' : ''}`],
    ['Profile', `${report.profile}: ${report.profileDescription}`],
    ['Mode', modeOf(report)],
    ['Users', String(report.users)],
    [
      'Duration',
      `${report.seconds.toFixed(1)} s from ${report.startedAt}${report.endedBy === 'interruption' ? ', interrupted' : ''}`
    ],
    [
      'Requests',
      `${totals.requests}, ${totals.requestsPerSecond.toFixed(1)} per second; ${totals.failed} refused or not answered${totals.notSent > 0 ? `; ${totals.notSent} never sent` : ''}`
    ],
    [
      'Latency',
      totals.latencyMs === undefined
        ? '-'
        : `p50 ${totals.latencyMs.p50.toFixed(1)} ms, p99 ${totals.latencyMs.p99.toFixed(1)} ms, max ${totals.latencyMs.max.toFixed(1)} ms`
    ],
    [
      'Load program',
      `busy ${Math.round(100 * report.generator.cpuShare)} % of one core, event-loop delay p99 ${report.generator.eventLoopDelayP99Ms.toFixed(1)} ms`
    ]
  ]
  const list = facts.map(([name, value]) => `<dt>${name}</dt><dd>${escape(value)}</dd>`).join('\n')
  const notes = summaryLines(report).slice(1).map(line => `<p class="note">${escape(line)}</p>`).join('\n')
  return `<dl>\n${list}\n</dl>\n${notes}`
}

function tableOf (report: Report): string {
  const { headings, rows } = figureRows(report)
  const row = (cells: string[], cell: string) =>
    `<tr>${cells.map(text => `<${cell}>${escape(text)}</${cell}>`).join('')}</tr>`
  return `<section>
<h2>Figures</h2>
<div class="wide"><table>
<thead>${row(headings, 'th')}</thead>
<tbody>
${rows.map(cells => row(cells, 'td')).join('\n')}
</tbody>
</table></div>
</section>`
}

function violationsOf (violations: Violation[], count: number): string {
  if (count === 0) return ''
  const rows = violations.slice(0, maxViolationsShown).map(violation => {
    const { what, loggedOutAt, loggedOutBy, acceptedBy, status, askedAfterMs, answeredAfterMs } = violation
    const times = [askedAfterMs.toFixed(1), answeredAfterMs.toFixed(1)]
    const cells = [loggedOutAt, loggedOutBy, acceptedBy, what, status, ...times]
    return `<tr>${cells.map(cell => `<td>${escape(String(cell))}</td>`).join('')}</tr>`
  })
  return `<section>
<h2>Violations</h2>
<p>Tokens that were accepted after their logout was answered 200: ${count}. The first ${rows.length}:</p>
<div class="wide"><table class="violations">
<thead><tr><th>logged out at</th><th>by</th><th>accepted by</th><th>token</th><th>status</th><th>sent after ms</th><th>answered after ms</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table></div>
</section>`
}

function escape (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
