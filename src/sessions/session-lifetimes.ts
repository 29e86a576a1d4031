import { canonicalIp, userAgentMaxLength, type Requester } from '../input/requester.ts'

/** How long sessions live, in seconds. */
export interface SessionLifetimes {
  /** Without being refreshed. */
  idleSeconds: number
  /** At most, however often it is refreshed. */
  maxAgeSeconds: number
}

/** What a login or a refresh says of when a session was used, and until when it lives without another. */
export function usedAt (
  now: Date,
  maxExpiresAt: Date,
  { idleSeconds }: SessionLifetimes
): { lastUsedAt: Date, expiresAt: Date } {
  return { lastUsedAt: now, expiresAt: new Date(Math.min(now.getTime() + idleSeconds * 1000, maxExpiresAt.getTime())) }
}

/** What a login or a refresh says of where a session was used. */
export function usedBy ({ ip, userAgent }: Requester): { ip: string | null, userAgent: string | null } {
  return {
    ip: canonicalIp(ip) ?? null,
    userAgent: userAgent?.slice(0, userAgentMaxLength).toWellFormed().replaceAll('\0', '') ?? null
  }
}
