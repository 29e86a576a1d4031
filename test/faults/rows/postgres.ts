import type { FaultRow } from '../../support/fault.ts'

/** The faults of Postgres, and of the network to it. */
export const postgresRows = {
  down: {
    fault: 'Postgres is down, and Redis works or reconnects',
    get:
      '503 `service_unavailable` if Postgres is needed; 503 `revocation_unavailable` after a Redis reconnect; other token checks as usual',
    within: 'within the deadlines',
    never: '200 for a revoked token',
    recovers: 'automatically, once Postgres answers'
  },
  stalled: {
    fault: 'Postgres stalls (SIGSTOP)',
    get: '503 `service_unavailable` if Postgres is needed, logouts included; token checks as usual',
    within: 'within a few times `DATABASE_DEADLINE_MS`',
    never: '200 for a logout that was not recorded, or for a token revoked before',
    recovers: 'automatically, within 5 s'
  },
  killed: {
    fault: 'Postgres is killed and restarted',
    get: '503 `service_unavailable` if Postgres is needed; token checks as usual',
    within: 'at once',
    never: 'the end of the process, or the loss of an answered logout',
    recovers: 'automatically, within 5 s after Postgres starts'
  },
  behindPgBouncer: {
    fault: 'Behind PgBouncer, Postgres stalls, or is killed',
    get: '503 `service_unavailable` if Postgres is needed, logouts included; token checks as usual',
    within: 'within a few times `DATABASE_DEADLINE_MS`',
    never: '200 for a logout that was not recorded, or for a token revoked before',
    recovers: 'automatically, within 5 s of PgBouncer\'s next attempt (`server_login_retry`)'
  },
  unreachable: {
    fault: 'Postgres is unreachable (black hole)',
    get: '503 `service_unavailable` if Postgres is needed; token checks as usual',
    within: 'within a few times `DATABASE_DEADLINE_MS`, even with more requests than connections',
    never: 'a hang, or a password or a token in the log',
    recovers: 'automatically'
  },
  connectionReset: {
    fault: 'A connection to Postgres is reset during a transaction',
    get: '503 `service_unavailable` for that request',
    within: 'at once',
    never: 'the end of the process',
    recovers: 'at once, on another connection'
  },
  connectionsClosed: {
    fault: 'Postgres closes idle connections',
    get: 'the usual answers',
    within: 'as usual',
    never: 'the end of the process',
    recovers: 'at once, on other connections'
  },
  readOnly: {
    fault: 'Postgres is read-only, like a standby after a failover',
    get:
      '503 `service_unavailable` for writes, logouts included; reads as usual; `/health/ready` 503, names the database',
    within: 'at once',
    never: '200 for a logout that was not recorded',
    recovers: 'automatically, once Postgres is writable or connections lead to the new primary'
  },
  restored: {
    promise: 'P2',
    fault: 'Postgres is restored from a backup that is older than Redis',
    get: '503 `revocation_unavailable`, until rebuilt from the record under a new record id',
    within: 'within seconds',
    never: '200 for a recorded logout, or removal from Redis of one that the record lost',
    recovers: 'automatically, with an error in the log'
  }
} satisfies Record<string, FaultRow>
