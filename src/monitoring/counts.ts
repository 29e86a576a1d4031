import { endReasons } from '../db/tables.ts'
import type { CheckResult } from '../revocation/revocation-check.ts'
import type { RecordedRevocation } from '../record/append.ts'
import type { RevocationScope } from '../entries/revocation.ts'
import { limitNames, type LimitName } from '../limits/limits.ts'
import { loginResults, type LoginResult } from './logins.ts'
import { unavailableCauses, type UnavailableCause } from './unavailable.ts'

type Reason = RecordedRevocation['reason']

/** The runs that bring a blocklist up to the record: a rebuild writes all of it, a catch-up what is missing. */
export type CatchUpKind = 'rebuild' | 'catch_up'

/** Plain numbers, which grow with each event and are read at each scrape. */
export interface Counts {
  checks: Record<CheckResult, number>
  breaker: { isOpen: boolean, openings: number }
  catchUps: Record<CatchUpKind, { count: number, entries: number, seconds: number }>
  unavailable: Record<UnavailableCause, number>
  internalErrors: { count: number }
  logins: Record<LoginResult, number>
  limited: Record<LimitName, number>
  readonly revocations: ReadonlyArray<{ scope: RevocationScope, reason: Reason, count: number }>
  countRevocation (scope: RevocationScope, reason: Reason): void
}

const sessionReasons: Reason[] = endReasons.filter(reason => reason !== 'everyone_out')
/** The reasons for revoking a token apart from its session. */
const tokenReasons: Reason[] = ['logout', 'token_revoked', 'superseded']

/** Returns an object with 0 for each name. */
function zeroOf<Name extends string> (names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map(name => [name, 0])) as Record<Name, number>
}

/** Creates the counts. All of them are there from the start, with 0, so that a rate sees the first increase. */
export function createCounts (): Counts {
  const revocations = [
    ...sessionReasons.map(reason => ({ scope: 'session' as RevocationScope, reason, count: 0 })),
    ...tokenReasons.map(reason => ({ scope: 'token' as RevocationScope, reason, count: 0 })),
    { scope: 'key' as RevocationScope, reason: 'key_compromised' as Reason, count: 0 },
    { scope: 'everyone' as RevocationScope, reason: 'everyone_out' as Reason, count: 0 }
  ]
  return {
    checks: { accepted: 0, revoked: 0, unavailable: 0 },
    breaker: { isOpen: false, openings: 0 },
    catchUps: { rebuild: { count: 0, entries: 0, seconds: 0 }, catch_up: { count: 0, entries: 0, seconds: 0 } },
    unavailable: zeroOf(unavailableCauses),
    internalErrors: { count: 0 },
    logins: zeroOf(loginResults),
    limited: zeroOf(limitNames),
    revocations,
    countRevocation (scope, reason) {
      const counted = revocations.find(known => known.scope === scope && known.reason === reason)
      if (counted === undefined) revocations.push({ scope, reason, count: 1 })
      else counted.count++
    }
  }
}
