/** The one form in which we store, compare and issue UUIDs: lower case, with hyphens. */
const form = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'
/** The pattern of a text that is a UUID in canonical form, for JSON Schema and `RegExp`. */
export const canonicalUuidPattern = `^${form}$`
/** The pattern of such a UUID at the end of a text. */
export const endingUuidPattern = `${form}$`
const canonicalUuid = new RegExp(canonicalUuidPattern)

/**
 * Returns the canonical form of a UUID in any case of its letters; undefined for any other text.
 *
 * Postgres compares UUIDs without regard to case. JavaScript and Redis do not, so a UUID from outside must be parsed
 * before anything is compared with it.
 *
 * @example
 * parseUuid('3F0F2C9E-5B0A-4A53-9D0C-0F7F9F4A1F7E') // '3f0f2c9e-5b0a-4a53-9d0c-0f7f9f4a1f7e'
 */
export function parseUuid (text: string): string | undefined {
  const lowerCase = text.toLowerCase()
  // Lower-casing lengthens some letters, and turns others, such as the Kelvin sign, into ASCII. The results are never
  // hexadecimal digits.
  return canonicalUuid.test(lowerCase) ? lowerCase : undefined
}

/**
 * Returns an id that is in its canonical form. Throws a TypeError for any other text: it was not parsed where it came
 * in, and a comparison with it could be wrong.
 */
export function canonicalId (id: string): string {
  if (!canonicalUuid.test(id)) throw new TypeError('An id must be a UUID in lower case: parse it where it comes in.')
  return id
}
