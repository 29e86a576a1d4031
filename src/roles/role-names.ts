/** The form of the name of a role. */
export const roleNamePattern = '^[a-z][a-z0-9_-]{0,63}$'

/** The largest number of characters in the name of a role. */
export const maxRoleNameLength = 64

const form = new RegExp(roleNamePattern)

/** Returns true if a text can be the name of a role. */
export function isRoleName (text: string): boolean {
  return form.test(text)
}

/** The roles that are always there: everyone has one after the registration, and the other may administer. */
export const builtInRoles: readonly string[] = ['user', 'admin']
