import ipaddr from 'ipaddr.js'

/** Who sent a request, as far as a request tells. */
export interface Client {
  /** The address, as text. `undefined` where there is none, as on the command line. */
  ip?: string | undefined
  /** The `User-Agent` header. */
  userAgent?: string | undefined
}

/** A user agent is cut to this many characters. */
export const userAgentMaxLength = 255

/** An address in its one canonical form: no zone, and IPv4 as IPv4 where it comes mapped into IPv6. Undefined for what is none. */
export function canonicalIp (ip: string | undefined): string | undefined {
  if (ip === undefined || !ipaddr.isValid(ip)) return undefined
  const address = ipaddr.process(ip)
  if (address instanceof ipaddr.IPv6) delete address.zoneId
  return address.toString()
}

/**
 * The place that an address stands for: itself, or the /64 of an IPv6 address, since whoever has one address of it has
 * all of them (RFC 6177). In CIDR notation where it is a range.
 */
export function placeOf (ip: string | undefined): string | undefined {
  const canonical = canonicalIp(ip)
  if (canonical === undefined || !canonical.includes(':')) return canonical
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${canonical}/64`).toString()}/64`
}
