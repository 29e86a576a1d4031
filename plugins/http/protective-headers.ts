/**
 * The headers of every answer that has no other value for them. Answers carry tokens and personal data, so no cache may
 * keep them; an answer that may be cached says so. Browsers must not guess another content type than the one sent.
 */
export const protectiveHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff'
} as const
