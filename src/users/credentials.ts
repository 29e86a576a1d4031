import { SignoutError } from '../errors.ts'

/** The form of a username. Letters are ASCII, so that letters of other alphabets cannot imitate a name. */
export const usernamePattern = '^[A-Za-z0-9._%+@-]{3,254}$'
const username = new RegExp(usernamePattern)

/** The longest password, in characters (Unicode code points) after normalisation. */
export const passwordMaxLength = 256

/** Returns true if a text has the form of a username. */
export function isUsername (text: string): boolean {
  return username.test(text)
}

/**
 * Returns the form in which a password is hashed, which is NFC. The same characters have several encodings, and
 * keyboards differ in which they send (NIST SP 800-63B-4, section 3.1.1.2). Nothing is trimmed or truncated.
 */
export function normalizePassword (password: string): string {
  return password.normalize('NFC')
}

/**
 * Returns the flaw of a new password, or undefined. The length is counted in characters after normalisation. A lone
 * surrogate is a flaw: it has no encoding, so different passwords would get the same hash.
 *
 * @param minLength the smallest number of characters
 */
export function findPasswordFlaw (password: string, minLength: number): string | undefined {
  const normalized = normalizePassword(password)
  const length = [...normalized].length
  if (!normalized.isWellFormed()) return 'must be well-formed Unicode'
  if (length < minLength) return `must have ${minLength} characters or more`
  return length > passwordMaxLength ? `must have ${passwordMaxLength} characters or fewer` : undefined
}

/**
 * Returns the normal form of a new password. Throws `invalid_request` if {@link findPasswordFlaw} finds a flaw.
 *
 * @param path the JSON Pointer to the password in the request, for the error
 */
export function acceptNewPassword (password: string, minLength: number, path = '/password'): string {
  const message = findPasswordFlaw(password, minLength)
  if (message !== undefined) throw new SignoutError('invalid_request', { details: [{ path, message }] })
  return normalizePassword(password)
}
