/**
 * The name of the cookie. `__Host-` makes browsers refuse it from another host, from an insecure address, and with
 * another path than `/`: a sibling subdomain cannot plant one.
 */
export const refreshCookieName = '__Host-signout-refresh'

/** The longest value that is read. Every refresh token is shorter, so a value that is cut stays invalid. */
const maxValueLength = 255

/**
 * Returns the values of the refresh cookie in a `Cookie` header (RFC 6265, section 4.2.1). Browsers send one at most. A
 * value is taken as it is: ours need no quotes and no encoding.
 */
export function readRefreshCookies (header: string = ''): string[] {
  const start = `${refreshCookieName}=`
  return header
    .split(';')
    .map(pair => pair.trim())
    .filter(pair => pair.startsWith(start) && pair.length > start.length)
    .map(pair => pair.slice(start.length).slice(0, maxValueLength))
}

/**
 * Returns the `Set-Cookie` header that replaces the refresh cookie, or deletes it if the lifetime is 0.
 *
 * @param lifetimeSeconds the lifetime of the cookie
 */
export function writeRefreshCookie (refreshToken: string, lifetimeSeconds: number): string {
  return `${refreshCookieName}=${refreshToken}; Path=/; Max-Age=${lifetimeSeconds}; HttpOnly; Secure; SameSite=Strict`
}
