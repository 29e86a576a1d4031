import { InvalidArgumentError } from 'commander'
import { isUsername } from '../users/credentials.ts'
import { parseUuid } from '../input/uuid.ts'
import { isRoleName } from '../roles/role-names.ts'

/** An instant with an offset, so that the time zone of this machine does not matter. */
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/
/** The end of the year 9999, in seconds since the epoch. */
const latestSeconds = 253_402_300_799

export function parseUsername (text: string): string {
  if (!isUsername(text)) {
    throw new InvalidArgumentError('It must have 3 to 254 letters (a to z), digits or characters of "._%+@-".')
  }
  return text
}

/** Returns the name of a role. Throws an `InvalidArgumentError` for a text that cannot be one. */
export function parseRole (text: string): string {
  if (isRoleName(text)) return text
  throw new InvalidArgumentError('It must have up to 64 letters (a to z), digits, _ and -, and begin with a letter.')
}

/** Returns an instant in seconds since the epoch. Throws an `InvalidArgumentError` for any other text. */
export function parseExpiry (text: string): number {
  const seconds = /^\d+$/.test(text) ? Number(text) : instant.test(text) ? Math.ceil(Date.parse(text) / 1000) : NaN
  if (!(seconds <= latestSeconds)) {
    throw new InvalidArgumentError('It must be in seconds since the epoch, or an instant such as 2030-01-31T12:00:00Z.')
  }
  return seconds
}

/** The largest number of users on a page of `signout user list`. */
const maxLimit = 1_000

/** Returns a number of rows. Throws an `InvalidArgumentError` for any other text. */
export function parseLimit (text: string): number {
  const limit = /^\d+$/.test(text) ? Number(text) : NaN
  if (!(limit >= 1 && limit <= maxLimit)) throw new InvalidArgumentError(`It must be a number from 1 to ${maxLimit}.`)
  return limit
}

export type TokenOrId = { token: string } | { jti: string }

/**
 * Returns an access token or the id of one, or undefined for any other text. A text with a dot is meant as a token, so
 * that half of one is not taken for an id.
 */
export function parseToken (text: string): TokenOrId | undefined {
  if (text.includes('.')) return { token: text }
  // The ids of our tokens are UUIDs. Revoking anything else would have no effect.
  const jti = parseUuid(text)
  return jti === undefined ? undefined : { jti }
}
