import { DatabaseError, DatabaseUnreachableError } from '../db/database-errors.ts'
import { ClockDisputeError, NotReadyError, type SignoutError } from '../errors.ts'
import { BreakerOpenError } from '../redis/link.ts'
import { LapsedAttemptError } from '../limits/limits.ts'
import { DeadlineError } from '../timing/deadline.ts'
import { UntrustedError } from '../trust/trust.ts'
import { TooManyHashesError } from '../users/password-hasher.ts'

/** The causes of a 503. */
export const unavailableCauses = [
  'blocklist_timeout', 'blocklist_unreachable', 'blocklist_breaker_open', 'blocklist_rebuilding', 'blocklist_untrusted',
  'clocks', 'database', 'password_queue', 'not_ready', 'other'
] as const
export type UnavailableCause = typeof unavailableCauses[number]

/** Returns the cause of a 503, or undefined for any other error. */
export function findUnavailableCause (error: SignoutError): UnavailableCause | undefined {
  if (error.statusCode !== 503) return undefined
  if (error instanceof NotReadyError) return 'not_ready'
  if (error.cause instanceof ClockDisputeError) return 'clocks'
  return error.code === 'revocation_unavailable' ? ofBlocklist(error.cause) : ofService(error.cause)
}

function ofBlocklist (cause: unknown): UnavailableCause {
  if (cause instanceof UntrustedError) return cause.isRebuilding ? 'blocklist_rebuilding' : 'blocklist_untrusted'
  if (cause instanceof BreakerOpenError) return 'blocklist_breaker_open'
  // ioredis has no class for this error, only the message.
  const isLate = cause instanceof DeadlineError || (cause instanceof Error && cause.message === 'Command timed out')
  return isLate ? 'blocklist_timeout' : 'blocklist_unreachable'
}

function ofService (cause: unknown): UnavailableCause {
  if (cause instanceof DatabaseError || cause instanceof DatabaseUnreachableError) return 'database'
  return cause instanceof TooManyHashesError || cause instanceof LapsedAttemptError ? 'password_queue' : 'other'
}
