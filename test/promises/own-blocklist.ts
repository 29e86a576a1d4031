import type { AuthOptions, Blocklist, Revocation } from '../../plugins/auth/auth.ts'

export const issuer = 'another-issuer'

/** Where a token has its ids. */
export const idOptions: Record<string, Partial<AuthOptions>> = {
  plain: {},
  mapped: { claimNames: { tokenId: 'client_id', sessionId: 'sid' } },
  foreign: { foreignIssuers: { [issuer]: {} } },
  hashed: { foreignIssuers: { [issuer]: { tokenId: 'no such claim' } } }
}

/** A blocklist of an app that does what the documentation requires, and no more. */
export function ownBlocklist (leewaySeconds: number, now: () => number): Blocklist {
  const ends = new Map<string, number>()
  return {
    leewaySeconds,
    async revoke (revocations: readonly Revocation[]) {
      for (const { id, expiresAt } of revocations) ends.set(id, (expiresAt + 3 * leewaySeconds) * 1000)
    },
    isRevoked: async ({ jti, sid = '' }) => [jti, sid].some(id => (ends.get(id) ?? 0) > now()),
    async ping () {
      /* It is here. */
    },
    async close () { ends.clear() }
  }
}
