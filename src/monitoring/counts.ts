import { endReasons } from '../db/tables.ts'
import type { CheckResult } from '../revocation/revocation-check.ts'
import type { RecordedRevocation } from '../record/record.ts'
import type { RevocationScope } from '../entries/revocation.ts'
import { unavailableCauses, type UnavailableCause } from './unavailable.ts'

type Reason = RecordedRevocation['reason']

/** What brings a blocklist up with the record: all of it, or what it lacks. */
export type CatchUpKind = 'rebuild' | 'catch_up'

/** Plain numbers, to which something is added when it happens, and which are read when somebody asks. */
export interface Counts {
  checks: Record<CheckResult, number>
  breaker: { isOpen: boolean, openings: number }
  catchUps: Record<CatchUpKind, { count: number, entries: number, seconds: number }>
  unavailable: Record<UnavailableCause, number>
  readonly revocations: ReadonlyArray<{ scope: RevocationScope, reason: Reason, count: number }>
  countRevocation (scope: RevocationScope, reason: Reason): void
}

/** Why a token alone is revoked, apart from its session. */
const tokenReasons: Reason[] = ['logout', 'token_revoked']

/** All that can be counted is there from the start, with 0: a rate has something to rise from. */
export function createCounts (): Counts {
  const revocations = [
    ...endReasons.map(reason => ({ scope: 'session' as RevocationScope, reason: reason as Reason, count: 0 })),
    ...tokenReasons.map(reason => ({ scope: 'token' as RevocationScope, reason, count: 0 }))
  ]
  return {
    checks: { accepted: 0, revoked: 0, unavailable: 0 },
    breaker: { isOpen: false, openings: 0 },
    catchUps: { rebuild: { count: 0, entries: 0, seconds: 0 }, catch_up: { count: 0, entries: 0, seconds: 0 } },
    unavailable: Object.fromEntries(unavailableCauses.map(cause => [cause, 0])) as Record<UnavailableCause, number>,
    revocations,
    countRevocation (scope, reason) {
      const counted = revocations.find(known => known.scope === scope && known.reason === reason)
      if (counted === undefined) revocations.push({ scope, reason, count: 1 })
      else counted.count++
    }
  }
}
