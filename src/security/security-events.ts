import type { securityEvents } from '../db/tables.ts'

/** Everything that is recorded. The names are API: they are in answers and in the log. */
export const securityEventTypes = [
  'registered',
  'login',
  'login_failed',
  'password_check_failed',
  'refresh',
  'refresh_token_reused',
  'logout',
  'session_ended',
  'password_changed', 'account_deleted', 'role_changed', 'status_changed', 'sessions_revoked', 'token_revoked'
] as const
export type SecurityEventType = typeof securityEventTypes[number]

/** Something that happened to an account. Never holds a token or a password. */
export interface SecurityEvent {
  type: SecurityEventType
  /** Whose account it is about. Left out for a login with a username that nobody has. */
  userId?: string | undefined
  /** The administrator who did it, where it was not the user. */
  actorId?: string | undefined
  sessionId?: string | undefined
  ip?: string | undefined
  /** What else there is to say, in a few words or numbers. */
  details?: Record<string, string | number>
}

/** A security event as it is kept. */
export type RecordedEvent = typeof securityEvents.$inferSelect

/** What is told of each event once it is recorded for good: the log, with everything in it that is in the table. */
export type AnnounceEvent = (event: SecurityEvent) => void
