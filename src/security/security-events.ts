import type { Requester } from '../input/requester.ts'
import type { EventDetails, securityEvents } from '../db/tables.ts'

/** All types of security events. The names are API: they are in answers and in the log. */
export const securityEventTypes = [
  'registered',
  'login',
  'login_failed',
  'password_check_failed',
  'refresh',
  'refresh_repeated',
  'refresh_token_reused',
  'logout',
  'reauthenticated',
  'session_ended',
  'password_changed', 'account_deleted', 'role_changed', 'status_changed', 'sessions_revoked', 'token_revoked',
  'everyone_out', 'key_rotated', 'key_retired', 'keys_reencrypted',
  'client_created', 'client_rotated', 'client_deleted', 'client_authentication_failed',
  'role_set', 'role_deleted'
] as const
export type SecurityEventType = typeof securityEventTypes[number]

/** Something that happened to an account. Never holds a token or a password. */
export interface SecurityEvent {
  type: SecurityEventType
  /** The user whose account it is about. Absent for a login with an unknown username. */
  userId?: string | undefined
  /** The administrator who did it, if it was not the user. */
  actorId?: string | undefined
  sessionId?: string | undefined
  /** Who sent the request. Absent for an operator on the command line. */
  requester?: Requester | undefined
  details?: EventDetails
}

/** A security event as it is stored. */
export type RecordedEvent = typeof securityEvents.$inferSelect

/** Called with each event once it is committed, to write it to the log. */
export type AnnounceEvent = (event: SecurityEvent) => void
