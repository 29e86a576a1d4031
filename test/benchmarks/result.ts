import type { LookupsMeasurement } from './lookups.ts'
import type { Measurement } from './measure.ts'
import type { Machine } from './processes.ts'
import { type Cell, type MemoryMeasurement, type RebuildResult } from './scenes.ts'
import type { ServiceResult } from './storm.ts'

/** All that one run of the benchmark has found; a part that was left out is undefined. */
export interface BenchResult {
  startedAt: string
  command: string
  rounds: number
  secondsEach: number
  machine: Machine
  /** Of the last minute, before and after. */
  loadAverage: [number, number]
  cells: Cell[]
  sizes?: Record<string, Measurement[]>
  lookups?: LookupsMeasurement[]
  memory?: MemoryMeasurement[]
  service?: ServiceResult
  rebuild?: RebuildResult
}
