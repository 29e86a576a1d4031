import { acts } from './acts.ts'
import { logLevels, ratioOfLog, type LogLevel } from './log.ts'
import type { LookupsMeasurement } from './lookups.ts'
import type { Measurement } from './measure.ts'
import { timesRoundsForFivePercent, type Cell } from './scenes.ts'
import { formatSignatures } from './signatures.ts'
import { spreadOf, type Spread } from './statistics.ts'
import type { ServiceResult } from './storm.ts'
import type { BenchResult } from './result.ts'
import { judge } from './targets.ts'
import { tokenCount } from './tokens.ts'
import { variants, type VariantName } from './variants.ts'

const withSpread = ({ median, min, max }: Spread, digits: number) =>
  `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`
const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
const table = (head: readonly string[], rows: readonly string[][]) =>
  [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n')

/** Returns the whole report, in Markdown. */
export function formatReport (result: BenchResult): string {
  return [
    describeRun(result),
    '## Targets and results',
    table(
      ['target', 'limit', 'measured: median (lowest to highest)', 'reached'],
      judge(result).map(({ what, limit, measured, isReached }) => [
        what, limit, measured ?? 'not measured', isReached ? 'yes' : '**no**'
      ])
    ),
    ...formatCells(result.cells),
    ...formatSizes(result.sizes),
    ...formatLookups(result.lookups),
    ...formatMemory(result.memory),
    ...formatService(result.service),
    ...formatLog(result.log),
    ...result.signatures === undefined ? [] : ['## A signature', formatSignatures(result.signatures)]
  ].join('\n\n')
}

function describeRun ({
  startedAt, command, rounds, secondsEach, machine: { cpu, cores, memoryGiB, node, redis, sharing },
  loadAverage: [before, after]
}: BenchResult): string {
  return (
    `Measured at ${startedAt} with \`${command}\`: ${rounds} rounds of ${secondsEach} s for each variant in turn, and ${tokenCount} different tokens. ` +
    `With one connection, for the sizes of the blocklist, and for the log, there are ${timesRoundsForFivePercent * rounds} rounds, so that a difference of 5 % shows. ` +
    `Machine: ${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}, Redis ${redis}; ${sharing}. Its load average was ${before.toFixed(1)} before the run and ${after.toFixed(1)} after it.`
  )
}

function formatCells (cells: Cell[]): string[] {
  const titleOf = ({ algorithm, connections }: Cell) =>
    `${algorithm}, ${connections} ${connections === 1 ? 'connection' : 'connections'}`
  return [...new Set(cells.map(titleOf))].flatMap(title => [
    `## ${title}`,
    table(
      ['variant', ...figureNames],
      cells
        .filter(cell => titleOf(cell) === title)
        .map(({ variant, measurements }) => [
          variants[variant as VariantName] ?? `signout (${variant})`, ...figures(measurements)
        ])
    )
  ])
}

const figureNames = [
  'CPU µs per request', 'Redis µs per request', 'requests per second', 'p50 ms', 'p99 ms', 'p99.9 ms'
]

function figures (measurements: Measurement[]): string[] {
  const of = (field: keyof Measurement, digits: number) =>
    withSpread(spreadOf(measurements.map(each => each[field])), digits)
  const median = (field: keyof Measurement, digits: number) =>
    spreadOf(measurements.map(each => each[field])).median.toFixed(digits)
  return [
    of('cpuMicros', 1), median('redisMicros', 1), median('perSecond', 0), median('p50', 2), median('p99', 2),
    median('p999', 2)
  ]
}

function formatSizes (sizes: BenchResult['sizes']): string[] {
  if (sizes === undefined) return []
  return ['## Size of the blocklist: EdDSA, 50 connections', table(
    ['entries', ...figureNames],
    Object.entries(sizes).map(([size, measurements]) => [size, ...figures(measurements)])
  )]
}

function formatLookups (lookups: BenchResult['lookups']): string[] {
  if (lookups === undefined) return []
  const kinds = [
    ...new Set(
      lookups.map(({ tokensPerCommand, isInCluster }) =>
        isInCluster ? '1, with 16 commands per packet, as in a cluster' : String(tokensPerCommand)
      )
    )
  ]
  return [
    '## Look-ups in one Redis',
    table(
      [
        'tokens per command', 'Redis µs per token', 'tokens per second here',
        'tokens per second with a whole core for Redis'
      ],
      kinds.map((kind, index) => {
        const own = lookups.filter((_, at) => at % kinds.length === index)
        const median = (pick: (each: LookupsMeasurement) => number) => spreadOf(own.map(pick)).median
        return [
          kind, withSpread(spreadOf(own.map(({ redisMicros }) => redisMicros)), 2),
          median(({ tokensPerSecond }) => tokensPerSecond).toFixed(0),
          (1e6 / median(({ redisMicros }) => redisMicros)).toFixed(0)
        ]
      })
    )
  ]
}

function formatMemory (memory: BenchResult['memory']): string[] {
  if (memory === undefined) return []
  return [
    '## Memory of a logout in Redis',
    table(
      ['logouts in Redis', 'bytes per logout'], memory.map(({ logouts, bytes }) => [String(logouts), bytes.toFixed(0)])
    )
  ]
}

function formatService (service: BenchResult['service']): string[] {
  if (service === undefined) return []
  const of = (pick: (round: ServiceResult['rounds'][number]) => number, digits = 1) =>
    withSpread(spreadOf(service.rounds.map(pick)), digits)
  return [
    '## The service',
    table(['50 connections', ...figureNames], [['`GET /token`', ...figures(service.token)]]),
    table(
      [
        '16 connections', 'CPU µs per request', 'Postgres µs per request', 'Redis µs per request',
        'requests per second', 'p50 ms', 'p99 ms'
      ],
      acts.map(act => {
        const own = service.acts.filter(each => each.act === act)
        const median = (field: 'redisMicros' | 'perSecond' | 'p50' | 'p99', digits: number) =>
          spreadOf(own.map(each => each[field])).median.toFixed(digits)
        return [
          `\`POST /${act}\``, withSpread(spreadOf(own.map(({ cpuMicros }) => cpuMicros)), 0),
          withSpread(spreadOf(own.map(({ postgresMicros }) => postgresMicros)), 0), median('redisMicros', 1),
          median('perSecond', 0), median('p50', 1), median('p99', 1)
        ]
      })
    ),
    table(
      [
        '`GET /me`, 200 requests per second, evenly', 'p50 ms', 'p99 ms', 'event-loop delay p99 ms', 'logins per second'
      ],
      [
        [
          'idle', of(({ idle }) => idle.p50), of(({ idle }) => idle.p99), of(({ idleDelayP99Ms }) => idleDelayP99Ms),
          '0'
        ],
        [
          'during a login storm', of(({ storm }) => storm.p50), of(({ storm }) => storm.p99),
          of(({ delayP99Ms }) => delayP99Ms), of(({ loginsPerSecond }) => loginsPerSecond, 0)
        ]
      ]
    )
  ]
}

const levelNames: Record<LogLevel, string> = { silent: 'no log: `silent`', info: 'the default: `info`' }

/** Formats how much of its core the server used. A server that waits for the load has fewer requests in each turn. */
const coreShare = (measurements: Measurement[]) =>
  `${spreadOf(measurements.map(({ perSecond, cpuMicros }) => perSecond * cpuMicros / 1e4)).median.toFixed(0)} %`

/** Returns the table that compares the default log with no log. */
export function formatLog (log: BenchResult['log']): string[] {
  if (log === undefined) return []
  const comparison: Record<LogLevel, string> = { silent: '1', info: withSpread(ratioOfLog(log), 2) }
  return [
    '## The log of the service: `GET /token`, 50 connections',
    table(
      ['`LOG_LEVEL`', ...figureNames, 'share of its core', 'CPU compared with no log'],
      logLevels.map(level => [levelNames[level], ...figures(log[level]), coreShare(log[level]), comparison[level]])
    )
  ]
}
