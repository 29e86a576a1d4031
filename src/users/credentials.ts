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
 * Checks a password that is being chosen, and answers its normal form. Throws `invalid_request` when it is too short
 * or too long, counted in characters after normalisation, or is no text: a lone surrogate has no encoding, so
 * different passwords with one would be the same.
 *
 * @param path where it is in the request, for the error
 */
export function acceptNewPassword (password: string, minLength: number, path = '/password'): string {
  const refuse = (message: string) => new SignoutError('invalid_request', { details: [{ path, message }] })
  const normalized = normalizePassword(password)
  const length = [...normalized].length
  if (!normalized.isWellFormed()) throw refuse('must be well-formed Unicode')
  if (length < minLength) throw refuse(`must have ${minLength} characters or more`)
  if (length > passwordMaxLength) throw refuse(`must have ${passwordMaxLength} characters or fewer`)
  return normalized
}
