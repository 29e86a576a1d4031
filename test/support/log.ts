import type { LoggerOptions } from '../../src/app.ts'

/** Returns a logger that keeps what is logged, at every level. */
export function keepLog (): {
  logger: LoggerOptions, text: () => string, clear: () => void, lines: () => Array<Record<string, unknown>>
} {
  const lines: string[] = []
  return {
    logger: {
      level: 'trace',
      stream: {
        write: line => { lines.push(line) }
      }
    },
    text: () => lines.join(''),
    clear: () => { lines.length = 0 },
    lines: () => lines.map(line => JSON.parse(line) as Record<string, unknown>)
  }
}
