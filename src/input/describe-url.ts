/** Where a URL points to, for people: host, port and path, and never a user, a password or a parameter. */
export function describeUrl (url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}
