import { SignoutError } from '../errors.ts'

/** Returns `invalid_request`, with a sentence that says what to send. */
export function refuse (description: string): SignoutError {
  return new SignoutError('invalid_request', { description })
}
