import type { FaultRow } from '../../support/fault.ts'

/** The faults of the service: its replicas, the clocks, the embedded mode, and the plugin alone. */
export const serviceRows = {
  startWithoutPostgres: {
    fault: 'A replica starts while Postgres is down',
    get: '503 `service_unavailable` for every request; `/health/live` 200; `/health/ready` 503, names the database',
    within: 'at once',
    never: '200 for a revoked token, or the end of the process',
    recovers: 'automatically, within seconds after Postgres starts'
  },
  startDuringRebuild: {
    promise: 'P2',
    fault: 'A replica starts or stops during a long rebuild of an empty Redis',
    get:
      '503 `revocation_unavailable`; `Retry-After` says for how long, `/health/ready` says `rebuilding` with its progress',
    within: 'from 5 s after the start; a stopped replica leaves the rebuild to others',
    never: 'a port that is closed until the rebuild ends, or 200 for a revoked token',
    recovers: 'automatically'
  },
  projectorKilled: {
    promise: 'P2',
    fault: 'The projector is killed (SIGKILL), and Redis loses all data',
    get:
      '503 `revocation_unavailable`, from the loss until another replica takes over; before that, other replicas as usual',
    within: 'as usual',
    never: '200 for a token that was revoked before or meanwhile',
    recovers: 'another replica becomes the projector within seconds'
  },
  projectorCutOff: {
    fault: 'The projector cannot reach Redis',
    get: '503 `revocation_unavailable` from that replica; other replicas as usual',
    within: 'at once',
    never: '503 from a replica that reaches Redis',
    recovers: 'another replica becomes the projector within a second or two'
  },
  replacedRedis: {
    fault: 'One replica reaches only a Redis that was replaced',
    get: 'answers from the old Redis there, later from the old Redis and Postgres together',
    within: 'Postgres is asked after 5 s at most',
    never: '200 for a token that another replica revoked more than 5 s before',
    recovers: 'automatically, once the replica reaches the new Redis'
  },
  replicaClock: {
    promise: 'P3',
    fault: 'One replica\'s clock is set ahead or back by more than `CLOCK_LEEWAY`',
    get:
      '503 `revocation_unavailable`, or 503 `service_unavailable` for logins, refreshes, new passwords; refresh-token logouts work; other replicas as usual',
    within: 'noticed within 1 s, and before a token is refused for its time or issued',
    never: '401 `token_expired` for a good token, a token that others refuse, or a rebuild',
    recovers: 'automatically, within seconds after the clock is right'
  },
  postgresClock: {
    promise: 'P2',
    fault: 'Postgres\' clock differs from the replicas\' by more than `CLOCK_LEEWAY`',
    get: '503 `revocation_unavailable`, once noticed; no replica starts meanwhile',
    within: 'noticed within 10 s',
    never: '200 for a revoked token',
    recovers: 'rebuilt from the record once the clocks agree, which is noticed within 10 s'
  },
  embeddedKilled: {
    promise: 'P2',
    fault: 'An embedded server is killed (SIGKILL) and restarted',
    get: '401 `token_revoked` for a revoked token',
    within: 'as usual',
    never: '200 for a revoked token',
    recovers: 'when it has started'
  },
  pluginRedisEmptied: {
    promise: 'P2',
    fault: 'With the plugin alone, Redis is emptied',
    get: '401 `token_revoked`, for every token that was issued before',
    within: 'at once',
    never: '200 for a revoked token',
    recovers: 'users sign in again'
  },
  pluginOldSnapshot: {
    promise: 'P2',
    fault: 'With the plugin alone, Redis restarts with an old snapshot',
    get: '401 `token_revoked`, for every token that was issued before',
    within: 'at once',
    never: '200 for a token that was revoked after the snapshot',
    recovers: 'users sign in again'
  },
  pluginLaggingFailover: {
    promise: 'P2',
    fault: 'With the plugin alone, a lagging Redis replica is promoted',
    get: '503 and then 401 `token_revoked`, for every token that was issued before',
    within: 'at once',
    never: '200 for a revoked token',
    recovers: 'users sign in again'
  },
  pluginConnectionsLost: {
    fault: 'With the plugin alone, connections to Redis are lost',
    get: '503 until Redis is reachable again',
    within: 'at once',
    never: '401 for a signed-in user',
    recovers: 'automatically; no user has to sign in again'
  },
  pluginEviction: {
    promise: 'P2',
    fault: 'With the plugin alone, Redis is set to evict keys, and evicts',
    get: '503, and once that is over 401 `token_revoked`, for every token that was issued before',
    within: '5 seconds',
    never: '200 for a revoked token after that',
    recovers: 'when the policy is `noeviction` again; users sign in again'
  },
  pluginRecord: {
    promise: 'P2',
    fault: 'With the plugin and a record, Redis loses everything',
    get: '503 until the blocklist is rebuilt',
    within: 'at once',
    never: '200 for a revoked token, or 401 for another one',
    recovers: 'automatically, within seconds; no user has to sign in again'
  },
  pluginRecordPostgres: {
    fault: 'With the plugin and a record, Postgres stalls',
    get: '503 for a revocation; other requests as usual',
    within: 'the deadline of the blocklist',
    never: '200 for a revoked token, or for a revocation that is not recorded',
    recovers: 'automatically'
  }
} satisfies Record<string, FaultRow>
