import { SignoutError } from '../errors.ts'
import { scopePattern } from '../tokens/requirements.ts'

/** The scope of the administration. The role `admin` always has it, and no other role can. */
const adminScope = 'admin'
/** Scopes of the service itself, now or later. No role can have one. */
const reserved = /^signout([:./_-]|$)/

/** The largest number of characters of the scopes of one role. Every token carries them, and so does `X-Scope`. */
export const maxScopeLength = 1_000

const form = new RegExp(scopePattern)

/**
 * Returns the scopes of a role as one text, sorted, each once. Throws `invalid_request` if one is malformed, reserved,
 * or not for this role, or if they are too long.
 *
 * @example
 * toScope('editor', ['articles:write', 'articles:read']) // 'articles:read articles:write'
 */
export function toScope (role: string, scopes: readonly string[]): string {
  const each = [...new Set(scopes.flatMap(text => text.split(' ')))].sort()
  for (const scope of each) {
    if (!form.test(scope)) throw refuse('A scope has printable ASCII characters without spaces, " and \\.')
    if (reserved.test(scope)) throw refuse(`The scope ${scope} is reserved for signout.`)
  }
  if (each.includes(adminScope) !== (role === 'admin')) {
    throw refuse('The role admin has the scope admin, and no other role can have it.')
  }
  const scope = each.join(' ')
  if (scope.length > maxScopeLength) throw refuse(`The scopes of a role have at most ${maxScopeLength} characters.`)
  return scope
}

function refuse (description: string): SignoutError {
  return new SignoutError('invalid_request', { description })
}
