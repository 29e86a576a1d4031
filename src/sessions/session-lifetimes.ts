import { canonicalIp, userAgentMaxLength, type Requester } from '../input/requester.ts'

/** The lifetimes of a session, in seconds. */
export interface SessionLifetimes {
  /** Until the next refresh. */
  idleSeconds: number
  /** In total, regardless of refreshes. */
  maxAgeSeconds: number
}

/** Returns the columns for the time of a login or a refresh, and for the end of the session without another refresh. */
export function usedAt (
  now: Date,
  maxExpiresAt: Date,
  { idleSeconds }: SessionLifetimes
): { lastUsedAt: Date, expiresAt: Date } {
  return { lastUsedAt: now, expiresAt: new Date(Math.min(now.getTime() + idleSeconds * 1000, maxExpiresAt.getTime())) }
}

/** Returns the columns for the requester of a login or a refresh. */
export function usedBy ({ ip, userAgent }: Requester): { ip: string | null, userAgent: string | null } {
  return {
    ip: canonicalIp(ip) ?? null,
    userAgent: userAgent?.slice(0, userAgentMaxLength).toWellFormed().replaceAll('\0', '') ?? null
  }
}
