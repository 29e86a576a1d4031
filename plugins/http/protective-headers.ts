/**
 * The headers of every answer that has no other value for them. Answers carry tokens and personal data, so no cache may
 * keep them; an answer that may be cached says so. Browsers must not guess another content type than the one sent, and
 * must not run or frame anything. The pages for people have a policy of their own.
 */
export const protectiveHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'"
} as const

/** The names and values of {@link protectiveHeaders}: every request reads them. */
export const protectiveFields = Object.entries(protectiveHeaders)
