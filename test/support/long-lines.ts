import ts from 'typescript'

const maxColumns = 120

/**
 * Returns the lines of a file that are too long, each with its number. A line may be long if it is one text that stands
 * alone: a string, a template or a regular expression, with its punctuation. So may the header of a test with its
 * title.
 */
export function longLinesOf (file: ts.SourceFile): string[] {
  const lines = file.text.split('\n').map((text, index) => ({ text, index }))
  const long = lines.filter(({ text }) => text.length > maxColumns)
  if (long.length === 0) return []
  const texts = textsOf(file)
  return long.filter(({ text, index }) => {
    if (/^\s*(await )?t\.test\((['"`]).*\2, .*=> .*\{$/.test(text)) return false
    const start = file.getLineStarts()[index] as number
    const without = (from: number, to: number) => text.slice(0, Math.max(from, 0)) + text.slice(Math.max(to, 0))
    const rests = texts.map(([from, to]) => without(from - start, to - start))
    return !rests.some(rest => rest.length < text.length && /^[\s()[\]{},;:?+]*$/.test(rest))
  }).map(({ text, index }) => `${index + 1}: ${text.trim()}`)
}

/** Returns where the strings, templates and regular expressions of a file begin and end. */
function textsOf (file: ts.SourceFile): Array<[from: number, to: number]> {
  const texts: Array<[number, number]> = []
  ;(function look (node: ts.Node): void {
    if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node) || ts.isRegularExpressionLiteral(node)) {
      texts.push([node.getStart(), node.end])
    }
    ts.forEachChild(node, look)
  })(file)
  return texts
}
