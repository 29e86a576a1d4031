/**
 * Returns true if the `Accept` header of a request prefers HTML to JSON, as that of a browser does (RFC 9110, section
 * 12.5.1). A program that accepts everything gets JSON.
 */
export function prefersHtml (accept: string | undefined): boolean {
  if (accept === undefined) return false
  const ranges = accept.toLowerCase().split(',').map(readRange)
  return weightOf('text/html', ranges) > weightOf('application/json', ranges)
}

interface Range { type: string, weight: number }

function readRange (text: string): Range {
  const [type = '', ...parameters] = text.split(';').map(part => part.trim())
  const weight = parameters.find(parameter => parameter.startsWith('q='))?.slice(2)
  return { type, weight: weight === undefined ? 1 : Number(weight) || 0 }
}

/** Returns the weight of a media type: that of the most specific range that it belongs to. */
function weightOf (type: string, ranges: Range[]): number {
  for (const name of [type, `${type.split('/')[0]}/*`, '*/*']) {
    const range = ranges.find(range => range.type === name)
    if (range !== undefined) return range.weight
  }
  return 0
}
