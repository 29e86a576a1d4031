import { maxIdLength, maxNumericDate } from '../entries/revocation.ts'

/** The cause of `invalid_token` if a claim is missing or wrong. The message names the claim, and not its value. */
export class ClaimError extends Error {
  override readonly name = 'ClaimError'
}

const id = `a text of 1 to ${maxIdLength} characters`
const date = 'a number of seconds since the epoch'
const isText = (value: unknown): value is string => typeof value === 'string'
const isId = (value: unknown) => isText(value) && value !== '' && value.length <= maxIdLength
const isDate = (value: unknown) => typeof value === 'number' && value >= 0 && value <= maxNumericDate

/** The claims that are required, or may be absent, with what each must be. */
const rules: Array<[claim: string, isRequired: boolean, isRight: (value: unknown) => boolean, must: string]> = [
  ['jti', true, isId, id],
  ['exp', true, isDate, date],
  ['sid', false, isId, id],
  ['sub', false, value => isText(value) && value !== '', 'a text that is not empty'],
  ['iss', false, isText, 'a text'],
  ['aud', false, value => isText(value) || (Array.isArray(value) && value.every(isText)), 'a text or a list of texts'],
  ['iat', false, isDate, date],
  ['nbf', false, isDate, date]
]

/**
 * Returns an error that names the first claim that is missing or wrong, for the log of a developer; undefined if the
 * token can be revoked. fast-jwt checks values and leaves the types of several claims to its caller. It accepts a `jti`
 * that is an array, a numeric `sub`, an `iat` that is text, and an `exp` of 1e400.
 */
export function findClaimMistake (claims: unknown): ClaimError | undefined {
  const isObject = typeof claims === 'object' && claims !== null && !Array.isArray(claims)
  if (!isObject) return new ClaimError('The token holds no claims.')
  for (const [claim, isRequired, isRight, must] of rules) {
    const value = (claims as Record<string, unknown>)[claim]
    if (value === undefined && isRequired) return new ClaimError(`The token has no ${claim}; it must be ${must}.`)
    if (value !== undefined && !isRight(value)) return new ClaimError(`The claim ${claim} must be ${must}.`)
  }
  return undefined
}
