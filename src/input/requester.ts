import { isIP, isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** The sender of a request. */
export interface Requester {
  /** The IP address, as text. Undefined if there is none, as on the command line. */
  ip?: string | undefined
  /** The `User-Agent` header. */
  userAgent?: string | undefined
  /** The id of the request in the log. */
  requestId?: string | undefined
}

/** A user agent is cut to this many characters. */
export const userAgentMaxLength = 255

/** The longest text of an IP address, with the prefix of a network: IPv6 in full, with IPv4 at its end. */
export const ipMaxLength = 49

/** The place of all requesters without a valid IP address, such as behind a proxy that sends none. */
export const unknownPlace = 'unknown'

/** An IPv6 address in brackets, or an IPv4 address; with or without a port. */
const bracketsOrPort = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d{1,5})?$/

/**
 * Returns an address without the port and the brackets that some proxies add to it: `203.0.113.7:51234`,
 * `[2001:db8::1]:443`. Any other text is returned as it is.
 */
export function withoutPort (text: string): string {
  const [, inBrackets, ipv4] = bracketsOrPort.exec(text) ?? []
  return inBrackets ?? ipv4 ?? text
}

/**
 * Returns an address in its one canonical form: without port, brackets and zone, and IPv4 as IPv4 where it is mapped
 * into IPv6. Returns `undefined` if the text is no address.
 */
export function canonicalIp (ip: string | undefined): string | undefined {
  // An IPv4 address has one spelling, and is what most requests come from.
  if (ip === undefined || isIPv4(ip)) return ip
  const [address = ''] = withoutPort(ip).split('%')
  // Stricter than ipaddr.js, which takes `1` for 0.0.0.1 and `010.0.0.1` for 8.0.0.1.
  return isIP(address) === 0 ? undefined : ipaddr.process(address).toString()
}

/**
 * Returns the place of an address, or undefined if the text is no address. The place is the address itself. For IPv6 it
 * is the /64, in CIDR notation, because one owner has all of its addresses (RFC 6177).
 */
export function placeOf (ip: string | undefined): string | undefined {
  return withinIPv6(ip, 64)
}

/**
 * Returns the network of an address: the address itself, or for IPv6 the /48, which one customer may have to itself.
 * All texts that are no address share the network `unknown`, because an exemption would let anyone avoid limits.
 */
export function networkOf (ip: string | undefined): string {
  return withinIPv6(ip, 48) ?? unknownPlace
}

/** Returns an IPv4 address as it is, and of an IPv6 address the network with a prefix of so many bits. */
function withinIPv6 (ip: string | undefined, bits: number): string | undefined {
  const canonical = canonicalIp(ip)
  if (canonical === undefined || !canonical.includes(':')) return canonical
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${canonical}/${bits}`).toString()}/${bits}`
}
