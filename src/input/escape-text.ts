/**
 * Control characters, format characters (such as bidirectional overrides and zero-width spaces), unassigned characters,
 * and line separators.
 */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/gu

/**
 * Returns a text with escapes, such as `\u009b`, for every character that a terminal may obey, or that hides or
 * reorders text. Strangers choose parts of what is logged and printed: addresses, user agents, host names.
 *
 * Escaped JSON is still JSON, with the same meaning.
 */
export function escapeText (text: string): string {
  return text.replaceAll(unprintable, character => character.split('')
    .map(unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join(''))
}

/** Matches a line with a backslash, or with anything but printable ASCII. Few have it, and this is found out fast. */
const uncommon = /[^ -[\]-~\n]/
/** Matches a line of JSON with a text that may need escapes. */
const suspicious = /\\[bfnrtu]|[^\P{C}\n]|[\p{Zl}\p{Zp}]/u

/**
 * Returns a line of the log, which is JSON, with all of its texts escaped. The lines of a `stack` stay lines. Programs
 * that decode the JSON and print a text, as `jq -r` does, print it escaped, too.
 */
export function escapeLogLine (line: string): string {
  return uncommon.test(line) && suspicious.test(line) ? `${JSON.stringify(escapeValue(JSON.parse(line)))}\n` : line
}

function escapeValue (value: unknown, key?: string): unknown {
  if (typeof value === 'string') {
    return key === 'stack' ? value.split('\n').map(escapeText).join('\n') : escapeText(value)
  }
  if (Array.isArray(value)) return value.map(item => escapeValue(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [escapeText(name), escapeValue(item, name)]))
}
