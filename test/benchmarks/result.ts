import type { LogResult } from './log.ts'
import type { LookupsMeasurement } from './lookups.ts'
import type { Measurement } from './measure.ts'
import type { Machine } from './processes.ts'
import { type Cell, type MemoryMeasurement, type RebuildResult } from './scenes.ts'
import type { SignaturesResult } from './signatures.ts'
import type { ServiceResult } from './storm.ts'

/** The results of one run of the benchmark. A part that was left out is undefined. */
export interface BenchResult {
  startedAt: string
  command: string
  rounds: number
  secondsEach: number
  machine: Machine
  /** The load average of the last minute, before and after the run. */
  loadAverage: [number, number]
  cells: Cell[]
  sizes?: Record<string, Measurement[]>
  lookups?: LookupsMeasurement[]
  memory?: MemoryMeasurement[]
  service?: ServiceResult
  log?: LogResult
  rebuild?: RebuildResult
  signatures?: SignaturesResult
}
