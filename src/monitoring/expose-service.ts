import { Counter, Gauge, type Registry } from 'prom-client'
import type { PoolLoad } from '../db/database.ts'
import { version } from '../package-root.ts'
import type { PasswordHasher } from '../users/password-hasher.ts'
import type { Counts } from './counts.ts'
import { expose } from './exposition.ts'

/** The parts of the service that are asked at each scrape. Each function returns undefined if there is no such part. */
export interface ServiceReaders {
  /** Returns the passwords that are being hashed, and those that wait for it. */
  passwords: () => PasswordHasher['load'] | undefined
  /** Returns the connections to Postgres. */
  pool: () => PoolLoad | undefined
  /** Returns true if this replica is the projector. */
  isProjector: () => boolean
}

/** Adds the version of the service, which tells replicas of different releases apart. */
export function exposeBuild (register: Registry): void {
  expose(Gauge, {
    register,
    name: 'signout_build_info',
    help: 'Always 1. The labels are the versions of signout and of Node.js.',
    labelNames: ['version', 'node']
  }, () => [[{ version, node: process.versions.node }, 1]])
}

/** Adds the metrics of logins, limits, passwords and connections to Postgres. */
export function exposeService (
  register: Registry, { logins, limited, internalErrors }: Counts, read: Pick<ServiceReaders, 'passwords' | 'pool'>
): void {
  expose(Counter, {
    register,
    name: 'signout_internal_errors_total',
    help: 'Requests that were answered 500. The log has the cause of each.'
  }, () => [[{}, internalErrors.count]])
  expose(Counter, {
    register,
    name: 'signout_logins_total',
    help: 'Logins, by result.',
    labelNames: ['result']
  }, () => Object.entries(logins).map(([result, count]) => [{ result }, count]))
  expose(Counter, {
    register,
    name: 'signout_rate_limited_total',
    help: 'Requests that were answered 429, by the limit that was used up.',
    labelNames: ['limit']
  }, () => Object.entries(limited).map(([limit, count]) => [{ limit }, count]))
  exposePasswords(register, read.passwords)
  exposePool(register, read.pool)
}

function exposePasswords (register: Registry, read: ServiceReaders['passwords']): void {
  const ofQueue = (number: 'running' | 'waiting') => (): Array<[object, number]> => {
    const load = read()
    return load === undefined ? [] : [[{}, load[number]]]
  }
  expose(Gauge, {
    register,
    name: 'signout_password_queue_running',
    help: 'Passwords that are being hashed at this scrape.'
  }, ofQueue('running'))
  expose(Gauge, {
    register,
    name: 'signout_password_queue_waiting',
    help: 'Passwords that wait to be hashed at this scrape. Beyond 128, logins get 503.'
  }, ofQueue('waiting'))
}

function exposePool (register: Registry, read: ServiceReaders['pool']): void {
  expose(Gauge, {
    register,
    name: 'signout_database_pool_connections',
    help: 'Connections of this replica to Postgres, by state. Absent in embedded mode.',
    labelNames: ['state']
  }, () => {
    const pool = read()
    return pool === undefined ? [] : [[{ state: 'idle' }, pool.idle], [{ state: 'busy' }, pool.busy]]
  })
  expose(Gauge, {
    register,
    name: 'signout_database_pool_max_connections',
    help: 'The most connections that this replica opens to Postgres. Absent in embedded mode.'
  }, () => {
    const pool = read()
    return pool === undefined ? [] : [[{}, pool.max]]
  })
  expose(Gauge, {
    register,
    name: 'signout_database_pool_waiting',
    help: 'Queries that wait for a connection to Postgres at this scrape. Absent in embedded mode.'
  }, () => {
    const pool = read()
    return pool === undefined ? [] : [[{}, pool.waiting]]
  })
}

/** Adds whether this replica is the projector. */
export function exposeProjector (register: Registry, isProjector: ServiceReaders['isProjector']): void {
  expose(Gauge, {
    register,
    name: 'signout_projector',
    help: '1 if this replica is the projector, which copies the record to Redis. Otherwise 0.'
  }, () => [[{}, Number(isProjector())]])
}
