import type { FaultRow } from '../../support/fault.ts'
import { keyRows } from './keys.ts'
import { postgresRows } from './postgres.ts'
import { redisRows } from './redis.ts'
import { serviceRows } from './service.ts'
import { topologyRows } from './topologies.ts'

/** The rows of one subject, which stand in one table. */
export interface FaultSubject {
  heading: string
  /** The name under which tests import the rows. */
  name: string
  rows: Readonly<Record<string, FaultRow>>
}

/** Every row of docs/faults.md, in its order. */
export const subjects: readonly FaultSubject[] = [
  { heading: 'Redis', name: 'redisRows', rows: redisRows },
  { heading: 'Sentinel, cluster and failovers', name: 'topologyRows', rows: topologyRows },
  { heading: 'Postgres', name: 'postgresRows', rows: postgresRows },
  { heading: 'Replicas, clocks and the plugin', name: 'serviceRows', rows: serviceRows },
  { heading: 'Signing keys, and everyone out', name: 'keyRows', rows: keyRows }
]
