import t from 'tap'
import { ratioOfLog, type LogResult } from './log.ts'
import { formatLog } from './report.ts'

const measurement = (cpuMicros: number) => ({
  responses: 1_000,
  failures: 0,
  perSecond: 1_000,
  p50: 1,
  p99: 2,
  p999: 3,
  cpuMicros,
  redisMicros: 2,
  lookupsPerCommand: 20
})
/** The machine becomes slower from round to round, which affects both levels. */
const log: LogResult = { silent: [20, 40, 60].map(measurement), info: [28, 60, 96].map(measurement) }

t.test('the cost of the log is the median of the ratios of all rounds', async t => {
  t.same(ratioOfLog(log), { median: 1.5, min: 1.4, max: 1.6 })
})

t.test('the report of the benchmark shows the default log beside no log, and their ratio', async t => {
  const [, written = ''] = formatLog(log)
  t.match(written, /^\| no log: `silent` \| 40\.0 \(20\.0 to 60\.0\) \|.* \| 4 % \| 1 \|$/m)
  t.match(written, /^\| the default: `info` \| 60\.0 \(28\.0 to 96\.0\) \|.* \| 6 % \| 1\.50 \(1\.40 to 1\.60\) \|$/m)
  t.same(formatLog(undefined), [], 'a part that was left out has no table')
})
