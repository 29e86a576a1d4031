import type { ActMeasurement } from './acts.ts'
import { ratioOfLog } from './log.ts'
import type { BenchResult } from './result.ts'
import { spreadOf } from './statistics.ts'

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
const table = (head: readonly string[], rows: readonly string[][]) =>
  [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n')

/** Formats a number with three significant digits. The measurements are not more exact than that. */
const number = (value: number) =>
  value >= 100 ? Math.round(Number(value.toPrecision(3))).toLocaleString('en') : Number(value.toPrecision(3)).toString()

function bytes (value: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3))
  return `${number(value / 1000 ** step)} ${units[step]}`
}

/** The cost of work that is done in batches: a cost for each item, and a cost for the batch, which its items share. */
export interface SharedCost {
  /** Processor time for each item, in microseconds. */
  eachMicros: number
  /** Processor time for each batch, in microseconds. */
  togetherMicros: number
}

/** The figures of docs/capacity.md: medians of one run of the benchmark. */
export interface CapacityInputs {
  measuredAt: string
  machine: string
  /** A checked request, in the server process. A batch is the requests of one turn of the event loop. */
  check: SharedCost
  /** A look-up, in Redis. A batch is the look-ups of one command. */
  lookup: SharedCost
  /** A look-up in Redis as in a cluster: one command for each token, and many commands in one packet. */
  lookupInClusterMicros: number
  /** `GET /token` of the service at 50 connections, without a log. */
  serviceCheckMicros: number
  /** How many times the processor time of this request the default log needs. */
  logRatio: number
  acts: Record<ActMeasurement['act'], { cpuMicros: number, postgresMicros: number, redisMicros: number }>
  /** The memory of Redis for the two entries of a logout. */
  bytesPerLogout: number
  /** The disk space of Postgres for one row. */
  bytesPerSession: number
  bytesPerEvent: number
  bytesPerRevocation: number
  rebuildSecondsPerMillion: number
}

const medianOf = (values: number[]) => spreadOf(values).median

/** Returns the figures of docs/capacity.md, or undefined if a part of the benchmark was left out. */
export function toInputs ({
  startedAt,
  machine,
  cells,
  lookups,
  memory,
  service,
  log,
  rebuild
}: BenchResult): CapacityInputs | undefined {
  const checks = cells.filter(({ algorithm, variant }) => algorithm === 'EdDSA' && variant === 'signout')
  if (
    checks.length < 2 ||
    lookups === undefined ||
    memory === undefined ||
    service === undefined ||
    log === undefined ||
    rebuild === undefined
  ) { return undefined }
  const inCluster = lookups.filter(({ isInCluster }) => isInCluster)
  return {
    measuredAt: startedAt,
    machine: `${machine.cpu}, Node ${machine.node}, Redis ${machine.redis}`,
    check: fit(
      checks.flatMap(({ measurements }) =>
        measurements.map(({ cpuMicros, lookupsPerCommand }) => ({ together: lookupsPerCommand, micros: cpuMicros }))
      )
    ),
    lookup: fit(
      lookups
        .filter(({ isInCluster }) => !isInCluster)
        .map(({ tokensPerCommand, redisMicros }) => ({ together: tokensPerCommand, micros: redisMicros }))
    ),
    lookupInClusterMicros: medianOf(inCluster.map(({ redisMicros }) => redisMicros)),
    serviceCheckMicros: medianOf(service.token.map(({ cpuMicros }) => cpuMicros)),
    logRatio: ratioOfLog(log).median,
    acts: {
      login: costOf(service.acts, 'login'),
      refresh: costOf(service.acts, 'refresh'),
      logout: costOf(service.acts, 'logout')
    },
    bytesPerLogout: medianOf(memory.map(({ bytes }) => bytes)),
    bytesPerSession: service.bytesPerSession,
    bytesPerEvent: service.bytesPerEvent,
    bytesPerRevocation: rebuild.bytesPerRow,
    rebuildSecondsPerMillion: medianOf(rebuild.seconds) / rebuild.entries * 1e6
  }
}

function costOf (acts: ActMeasurement[], which: ActMeasurement['act']): CapacityInputs['acts']['login'] {
  const own = acts.filter(({ act }) => act === which)
  const of = (field: 'cpuMicros' | 'postgresMicros' | 'redisMicros') => medianOf(own.map(each => each[field]))
  return { cpuMicros: of('cpuMicros'), postgresMicros: of('postgresMicros'), redisMicros: of('redisMicros') }
}

/** Fits `micros = each + together / count` to the points, by least squares. */
export function fit (points: ReadonlyArray<{ together: number, micros: number }>): SharedCost {
  const shares = points.map(({ together, micros }) => ({ x: 1 / together, y: micros }))
  const mean = (pick: (point: { x: number; y: number }) => number) =>
    shares.reduce((sum, point) => sum + pick(point), 0) / shares.length
  const [meanX, meanY] = [mean(({ x }) => x), mean(({ y }) => y)]
  const slope = mean(({ x, y }) => (x - meanX) * (y - meanY)) / mean(({ x }) => (x - meanX) ** 2)
  return { eachMicros: Math.max(0, meanY - slope * meanX), togetherMicros: slope }
}

/** Returns the table of docs/capacity.md, in Markdown. */
export function formatCapacity (inputs: CapacityInputs): string {
  const { check, lookup, acts } = inputs
  const part = (name: string) => `\`npm run bench -- --only ${name}\``
  const actRow = (act: keyof typeof acts) => [
    `\`POST /${act}\`: the service, Postgres, Redis`,
    `${number(acts[act].cpuMicros)}, ${number(acts[act].postgresMicros)}, ${number(acts[act].redisMicros)} µs`,
    part('service')
  ]
  return [
    `Medians, measured at ${inputs.measuredAt}: ${inputs.machine}. The server process ran on one core. Costs in µs are processor time, separately for the service, Postgres and Redis.`,
    table(['what', 'cost', 'command that measures it'], [
      [
        'a checked request, in the server process',
          `${number(check.eachMicros)} µs, plus ${number(check.togetherMicros)} µs for each turn of the event loop`,
          part('variants')
      ],
      [
        'a checked request at 50 connections, in the service without a log',
          `${number(inputs.serviceCheckMicros)} µs`,
          part('service')
      ],
      [
        'the same request with the default `LOG_LEVEL=info`',
          `${number(inputs.logRatio)} times as much`,
          part('log')
      ],
      [
        'a look-up, in Redis',
          `${number(lookup.eachMicros)} µs, plus ${number(lookup.togetherMicros)} µs for each command`,
          part('lookups')
      ],
      ['a look-up, in Redis as a cluster', `${number(inputs.lookupInClusterMicros)} µs`, part('lookups')],
      actRow('login'),
      actRow('refresh'),
      actRow('logout'),
      [
        'a logout in the memory of Redis, while its entries live',
        bytes(inputs.bytesPerLogout),
        part('memory')
      ],
      [
        'a session, a security event and a revocation on the disk of Postgres',
          `${bytes(inputs.bytesPerSession)}, ${bytes(inputs.bytesPerEvent)}, ${bytes(inputs.bytesPerRevocation)}`,
          `${part('service')}, ${part('rebuild')}`
      ],
      [
        'a million revocations written into an empty Redis',
          `${number(inputs.rebuildSecondsPerMillion)} s`,
          part('rebuild')
      ]
    ]
    )
  ].join('\n\n')
}
