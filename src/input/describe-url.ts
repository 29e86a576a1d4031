/** Returns the protocol, host, port and path of a URL, for people. It never holds a user, a password or a parameter. */
export function describeUrl (url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}
