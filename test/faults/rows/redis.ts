import type { FaultRow } from '../../support/fault.ts'

/** The faults of one Redis server, and of the network to it. */
export const redisRows = {
  stalled: {
    promise: 'P3',
    fault: 'Redis stalls (SIGSTOP)',
    get: '503 `revocation_unavailable`',
    within: 'within the deadline for a few requests, then at once',
    never: 'a hang, or a queue of waiting requests',
    recovers: 'automatically, within 3 s'
  },
  stalledOrKilled: {
    promise: 'P3, P4',
    fault: 'Redis stalls (SIGSTOP), or is killed and restarted',
    get: '503 `revocation_unavailable`, even for logouts and for a hundred requests at once',
    within: 'within the deadline',
    never: '200, 401 or 500 for a good token',
    recovers: 'automatically'
  },
  unreachable: {
    promise: 'P3',
    fault: 'Redis is unreachable (black hole) for 1 s or 6 s',
    get: '503 `revocation_unavailable`',
    within: 'within the deadline',
    never: '200 for a revoked token',
    recovers: 'automatically, within 5 s after the network works again'
  },
  connectionsReset: {
    fault: 'The network resets the connections to Redis',
    get: '503 `revocation_unavailable`, until Redis is compared with the record',
    within: 'at once',
    never: '200 for a revoked token',
    recovers: 'automatically, within 5 s'
  },
  connectionsHalfOpen: {
    fault: 'Connections to Redis are half open (closed at its end, without notice)',
    get: '503 `revocation_unavailable`',
    within: 'within the deadline, at once after the first few requests',
    never: '200 for a revoked token',
    recovers: 'automatically, within 5 s; a connection with a missing reply is closed after 2 s'
  },
  repliesLost: {
    fault: 'Redis executes commands, but its replies are lost',
    get: '503 `revocation_unavailable`, also for logouts, which are recorded',
    within: 'within the deadline',
    never: '200 for a logout that Redis did not acknowledge',
    recovers: 'automatically, within 5 s after the network works again; recorded logouts are then in effect'
  },
  slow: {
    fault: 'The network to Redis is slow',
    get: '503 `revocation_unavailable` if slower than the deadline, otherwise as usual',
    within: 'after the delay, or at the deadline if that is sooner',
    never: '200 for a revoked token',
    recovers: 'at once'
  },
  dataLost: {
    promise: 'P2',
    fault: 'Redis loses all data (FLUSHALL, or a restart without data)',
    get: '503 `revocation_unavailable`, until rebuilt from the record',
    within: 'at once',
    never: '200 for a revoked token',
    recovers: 'automatically, within seconds'
  },
  manyRevocations: {
    promise: 'P2',
    fault: 'Redis is empty, and the record has many revocations',
    get:
      '503 `revocation_unavailable`; `Retry-After` says for how long, `/health/ready` says `rebuilding` with its progress',
    within: 'at once',
    never: '200 for a revoked token',
    recovers: 'automatically, within 15 s for a million revocations, with flat memory'
  },
  oldSnapshot: {
    promise: 'P2',
    fault: 'Redis restarts with an old snapshot',
    get: '503 `revocation_unavailable`, until the missing entries are written from the record',
    within: 'at once',
    never: '200 for a token that was revoked after the snapshot',
    recovers: 'automatically'
  },
  emptyAtSameAddress: {
    promise: 'P2',
    fault: 'The address leads to an empty Redis, and later back to the first one',
    get: '503 `revocation_unavailable`, until the missing entries are written from the record',
    within: 'at once',
    never: '200 for a revoked token',
    recovers: 'automatically'
  },
  evictionOn: {
    promise: 'P2',
    fault: 'Eviction (`maxmemory-policy`) is switched on while the service runs',
    get: '503 `revocation_unavailable`, once noticed',
    within: 'noticed within 10 s',
    never: '200 for a token whose entry was evicted, once noticed',
    recovers: 'rebuilt from the record once eviction is off, which is noticed within 10 s'
  },
  evictionWithoutReplicas: {
    promise: 'P2',
    fault: 'Redis evicts keys while no replica runs, or at a start',
    get: 'no replica starts until eviction is off; then 503 `revocation_unavailable` until rebuilt from the record',
    within: 'at once',
    never: '200 for a token whose entry was evicted',
    recovers: 'automatically, once eviction is off'
  },
  evictionThenRestart: {
    promise: 'P2',
    fault: 'Redis evicts keys, and restarts with the rest before it is checked',
    get: '503 `revocation_unavailable`, until rebuilt from the record',
    within: 'at once',
    never: '200 for a token whose entry was evicted, after the restart',
    recovers: 'automatically'
  },
  full: {
    fault: 'Redis is full (`maxmemory`, `noeviction`)',
    get: '503 `revocation_unavailable` for logouts, which are recorded; everything else as usual',
    within: 'as usual',
    never: '200 for a logout that Redis refused to write, or for a token revoked before',
    recovers: 'automatically, within 2 s after memory is free; recorded logouts are then in effect'
  },
  writesRefused: {
    fault: 'Redis refuses writes (full, failed snapshot, `NOREPLICAS`)',
    get: '503 `revocation_unavailable` for logouts, which are recorded; everything else as usual',
    within: 'as usual; every replica refuses the tokens of recorded logouts within 2 s',
    never: '503 for a good token, or 200 for a logout that Redis refused to write',
    recovers: 'automatically, within 2 s after Redis accepts writes'
  },
  writesDelayed: {
    promise: 'P4',
    fault: 'Redis delays writes (CLIENT PAUSE)',
    get: '503 `revocation_unavailable` for a logout',
    within: 'within the deadline',
    never: '200 for a logout that is not in effect',
    recovers: 'a retry succeeds, or says that the logout is in effect'
  },
  selectRefused: {
    fault: 'Redis refuses to select the database of the blocklist',
    get: '503 `revocation_unavailable`',
    within: 'at once',
    never: 'the use of another database, which holds no revocations',
    recovers: 'automatically, once Redis allows it'
  },
  revokingWhileDown: {
    promise: 'P4',
    fault: 'Redis is down during a logout, or any other revocation',
    get: '503 `revocation_unavailable`; the revocation is recorded',
    within: 'at once',
    never: '200 for a revocation that is not in effect',
    recovers: 'automatically; without a retry, all revocations are in effect when Redis is trusted again'
  },
  backAfterLogout: {
    promise: 'P4',
    fault: 'Redis returns after a logout that was recorded while it was down',
    get: '401 `token_revoked`',
    within: 'within 2 s after Redis returns',
    never: '200 for the token of the recorded logout',
    recovers: 'a retry of the logout gets 401 `token_revoked`: it is in effect'
  },
  guessesWhileStalled: {
    fault: 'Redis stalls (SIGSTOP) while passwords are guessed',
    get: '401 and beyond the limit 429 `too_many_requests`, counted in memory',
    within: 'within the deadline for the first attempt, no wait after it',
    never: 'a guess beyond the limit',
    recovers: 'automatically; attempts are counted in Redis again when it returns'
  },
  guessesWhileDown: {
    fault: 'Redis is killed while passwords are guessed',
    get: '401 and beyond the limit 429 `too_many_requests`, counted in memory',
    within: 'at once',
    never: 'a guess beyond the limit',
    recovers: 'automatically; attempts are counted in Redis again when it returns'
  },
  limitWhileStalled: {
    fault: 'Redis stalls (SIGSTOP) when a limit is half or fully used up',
    get: '429 `too_many_requests` beyond the limit; attempts before and during the outage count together',
    within: 'within the deadline for the first attempt, then at once',
    never: 'an attempt beyond a limit that this replica has seen used up',
    recovers: 'automatically; attempts counted in memory are added to the counts in Redis'
  }
} satisfies Record<string, FaultRow>
