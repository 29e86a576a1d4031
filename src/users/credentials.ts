import { SignoutError } from '../errors.ts'

/** What a username is made of. Letters are ASCII: no two usernames look alike and differ. */
export const usernamePattern = '^[A-Za-z0-9._%+@-]{3,254}$'
const username = new RegExp(usernamePattern)

/** The longest password, in characters (Unicode code points) after normalisation. */
export const passwordMaxLength = 256

/** Whether a text can be a username at all. */
export function isUsername (text: string): boolean {
  return username.test(text)
}

/**
 * The form in which a password is hashed: NFC, since the same characters have several spellings and keyboards
 * differ in which they send (NIST SP 800-63B-4, section 3.1.1.2). Nothing is trimmed or truncated.
 */
export function normalizePassword (password: string): string {
  return password.normalize('NFC')
}

/**
 * Returns what is wrong with a new password, or undefined. Its length is counted in characters after normalisation. A
 * lone surrogate has no encoding, so different passwords with one would be the same.
 *
 * @param minLength the fewest characters
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
 * @param path where the password is in the request, for the error
 */
export function acceptNewPassword (password: string, minLength: number, path = '/password'): string {
  const message = findPasswordFlaw(password, minLength)
  if (message !== undefined) throw new SignoutError('invalid_request', { details: [{ path, message }] })
  return normalizePassword(password)
}
