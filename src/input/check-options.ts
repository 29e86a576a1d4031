/** Describes a value that was passed by mistake, in a few words for an error message. */
export function shown (value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  return typeof value === 'bigint' ? `${value}n` : String(value)
}

/** Throws a TypeError if an option is given and not a function. */
export function requireFunctions (options: object, names: readonly string[], prefix = ''): void {
  for (const name of names) {
    const value = (options as Record<string, unknown>)[name]
    if (value !== undefined && typeof value !== 'function') {
      throw new TypeError(`${prefix}${name} is ${shown(value)}; it must be a function.`)
    }
  }
}

/** Throws a TypeError for an option that is not known: a misspelt one would have no effect. */
export function refuseUnknown (options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(`The option ${name} is not known; the options are ${known.join(', ')}.`)
    }
  }
}

/** Returns a number within bounds. Throws a TypeError for any other value, such as `NaN`. */
export function requireNumber (name: string, value: unknown, unit: string, minimum: number, maximum: number): number {
  if (typeof value === 'number' && value >= minimum && value <= maximum) return value
  throw new TypeError(`${name} is ${shown(value)}; it must be a number of ${unit} from ${minimum} to ${maximum}.`)
}

/** Returns a text that is not empty. Throws a TypeError that says what it must be for any other value. */
export function requireText (name: string, value: unknown, must: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw new TypeError(`${name} is ${shown(value)}; it must be ${must}.`)
}
