import { isIP } from 'node:net'
import { Type } from 'typebox'
import { isMember } from '../redis/topology-settings.ts'

/** A description of a setting, for its schema. */
export interface About {
  /** One to three sentences for operators. */
  description: string
  /** A value for `.env.example`, of a setting without a default. */
  example?: string
}

/** A whole number within bounds. Without `otherwise` it has no default. */
export const integer = (minimum: number, maximum: number, otherwise: number | undefined, unit: string, about: About) =>
  Type.Integer({
    minimum,
    maximum,
    ...otherwise !== undefined && { default: otherwise },
    must: `a whole number from ${minimum} to ${maximum}${unit}`,
    ...about
  })

/** One of some words. */
export const oneOf = <const Word extends string>(words: Word[], otherwise: Word, about: About) => Type.Union(
  words.map(word => Type.Literal(word)),
  { default: otherwise, must: `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`, ...about }
)

/** The address of a server. It may hold a password, so no message repeats it. */
export const address = (schemes: string[], example: string, about: About) => Type.Refine(
  Type.String({ secret: true, must: `an address such as ${example}`, ...about }),
  text => isAddress(text, schemes))

/** Addresses of sentinels, or of nodes of a Redis cluster. */
export const redisMembers = (example: string, about: About) => Type.Refine(
  Type.Array(Type.String(), { minItems: 1, secret: true, must: `a list of addresses such as ${example}`, ...about }),
  list => list.every(isMember))

/** A number of attempts and the seconds of their window. */
export const rateLimit = (otherwise: string, about: About) => Type.String({
  default: otherwise,
  pattern: '^[1-9]\\d{0,6}/[1-9]\\d{0,6}$',
  must: 'a count and a number of seconds, such as 10/900',
  ...about
})

/** A bearer token (RFC 6750, section 2.1). Prometheus sends it after `Bearer`. */
export const bearerToken = (about: About) => Type.String({
  secret: true,
  pattern: '^(?=.{16,512}$)[A-Za-z0-9._~+/-]+=*$',
  must: '16 to 512 letters, digits or characters of "-._~+/" that cannot be guessed, ' +
    'such as the output of: openssl rand -hex 32',
  ...about
})

/** A secret of 32 bytes or more. */
export const secret = (about: About) => Type.Refine(
  Type.String({
    secret: true,
    must: '32 bytes or more that cannot be guessed, such as the output of: openssl rand -base64 32',
    ...about
  }),
  text => Buffer.byteLength(text) >= 32)

/** An http or https address without query and fragment. */
export const issuer = (about: About) => Type.Refine(
  Type.String({
    must: 'an http or https address without query and fragment, such as https://auth.example.com', ...about
  }),
  text => URL.canParse(text) && /^https?:\/\/[^?#]+$/.test(text))

/** Origins of pages, in the form in which browsers send them: "null" and every other spelling would never match. */
export const origins = (about: About) => Type.Refine(
  Type.Array(Type.String(), {
    minItems: 1,
    must: 'a list of origins as browsers send them, such as https://app.example.com,http://localhost:5173: ' +
      'lower case, no path, no / at the end, no default port',
    ...about
  }),
  list => list.every(isOrigin))

/** Addresses and ranges of proxies. */
export const addressRanges = (about: About) => Type.Refine(
  Type.Array(Type.String(), {
    minItems: 1, must: 'a list of addresses or CIDR ranges, such as 10.0.0.0/8,192.168.1.1', ...about
  }),
  list => list.every(isAddressRange))

/** Finds users and passwords that are not percent-encoded: ioredis and pg would refuse them only later. */
function isAddress (text: string, schemes: string[]): boolean {
  if (!text.includes('://') || !URL.canParse(text)) return false
  const { protocol, username, password, pathname } = new URL(text)
  // The number of a database of Redis. ioredis takes any other text for database 0.
  if (/^rediss?:$/.test(protocol) && !/^\/?\d{0,5}$/.test(pathname)) return false
  try {
    decodeURIComponent(username + password)
  } catch {
    return false
  }
  return schemes.includes(protocol)
}

function isOrigin (text: string): boolean {
  // An asterisk is a letter like any other for URLs, and is no pattern here.
  return /^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text
}

function isAddressRange (text: string): boolean {
  const [ip = '', bits, ...rest] = text.split('/')
  const version = isIP(ip)
  if (version === 0 || rest.length > 0) return false
  // Not 0: that would trust every address, and proxy-addr refuses it.
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= (version === 4 ? 32 : 128))
  )
}
