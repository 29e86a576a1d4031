import type { FaultRow } from '../../support/fault.ts'

/** The faults while a signing key is replaced, or everyone is sent out. */
export const keyRows = {
  compromisedWithoutRedis: {
    promise: 'P4',
    fault: 'Redis stalls or dies while a compromised key is retired',
    get: '503 `revocation_unavailable` or 401; the retirement is recorded, and its command exits with 3',
    within: 'within the deadlines',
    never: '200 for a token of the key, during the outage or after it',
    recovers: 'automatically; the entry is in Redis before the first check is answered with 200'
  },
  emptyAfterEveryone: {
    promise: 'P2',
    fault: 'Redis restarts empty after a compromised key and everyone out',
    get: '503 `revocation_unavailable`, until both entries are rebuilt from the record',
    within: 'at once',
    never: '200 for a token of the key, or from before everyone was sent out',
    recovers: 'automatically; later tokens are accepted again'
  },
  rotationWithoutPostgres: {
    fault: 'Postgres is down while a signing key is to be replaced',
    get: '503 `service_unavailable` for the rotation, and for logins and refreshes; token checks as usual',
    within: 'within the deadlines',
    never: 'a second active key, or 401 for a token of the key before',
    recovers: 'automatically; the key before signs on, until the rotation is repeated'
  },
  pausedOverRotation: {
    promise: 'P1',
    fault: 'A replica stalls (SIGSTOP) while a signing key is replaced',
    get: 'no answer there, until it continues; other replicas as usual',
    within: 'at once when it continues',
    never: '200 for a token of the compromised key, or 401 for one of the next key',
    recovers: 'automatically; the replica reads the keys before it signs'
  }
} satisfies Record<string, FaultRow>
