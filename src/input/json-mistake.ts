/** The parts of a JSON text (RFC 8259). A text matches as far as it is valid, without its closing quote. */
const space = /[ \t\n\r]*/y
// eslint-disable-next-line no-control-regex
const text = /"(?:[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*/y
const scalar = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

type Expected = 'value' | 'value or ]' | 'key' | 'key or }' | ':' | ', or end'

/**
 * Returns the index of the first character of `json` with which it cannot be JSON any more, or undefined if it is JSON.
 * The index of the end means that the text ends too early.
 *
 * The messages of `JSON.parse` repeat a part of the text, which may hold a password, and often have no place.
 */
export function findJsonMistake (json: string): number | undefined {
  const open: string[] = []
  let expected: Expected = 'value'
  let at = 0
  for (;;) {
    at = endOf(space, json, at)
    const char = json[at]
    if (char === undefined) return expected === ', or end' && open.length === 0 ? undefined : at
    if (closes(char, open.at(-1), expected)) {
      open.pop()
      expected = ', or end'
      at++
    } else if (expected === ', or end' || expected === ':') {
      if (char !== (expected === ':' ? ':' : ',') || open.length === 0) return at
      expected = expected === ', or end' && open.at(-1) === '{' ? 'key' : 'value'
      at++
    } else if (char === '"') {
      at = endOf(text, json, at)
      if (json[at] !== '"') return at
      expected = expected.startsWith('key') ? ':' : ', or end'
      at++
    } else if (expected.startsWith('value') && (char === '{' || char === '[')) {
      open.push(char)
      expected = char === '{' ? 'key or }' : 'value or ]'
      at++
    } else {
      const end = expected.startsWith('value') ? endOf(scalar, json, at) : at
      if (end === at) return at
      expected = ', or end'
      at = end
    }
  }
}

/** Returns true if a character closes the innermost object or array, where that is allowed. */
function closes (char: string, innermost: string | undefined, expected: Expected): boolean {
  if (char === '}') return innermost === '{' && (expected === 'key or }' || expected === ', or end')
  return char === ']' && innermost === '[' && (expected === 'value or ]' || expected === ', or end')
}

/** Returns the index behind what a sticky pattern matches at an index; the same index if it does not match. */
function endOf (pattern: RegExp, json: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(json) ? pattern.lastIndex : at
}

/** Returns the line and the column of an index, as editors count them: both begin at 1. */
export function placeOf (json: string, index: number): { line: number, column: number } {
  const lines = json.slice(0, index).split(/\r\n|\r|\n/)
  return { line: lines.length, column: [...lines.at(-1) ?? ''].length + 1 }
}
