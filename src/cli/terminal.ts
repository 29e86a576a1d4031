import { stripVTControlCharacters, styleText } from 'node:util'
import type { WriteStream } from 'node:tty'

type Style = Parameters<typeof styleText>[0]

/** What a command answers. */
export function print (line: string): void {
  process.stdout.write(`${line}\n`)
}

/** What went wrong, in one line. */
export function warn (line: string): void {
  process.stderr.write(`${label()} ${line.replaceAll(/\s*\n\s*/g, ' ')}\n`)
}

/** What a line on stderr begins with. */
export function label (): string {
  return colored('red', 'signout:', process.stderr)
}

/** Colored where a terminal shows it that has colors and whose owner wants them. */
export function colored (style: Style, text: string, stream: WriteStream = process.stdout): string {
  // `styleText` would look for itself, but in later versions of Node only.
  return stream.isTTY && stream.hasColors() ? styleText(style, text) : text
}

/**
 * Text of others, made harmless: a client chooses its user agent, and a terminal obeys what is written to it.
 */
export function harmless (text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?')
}

/** Lines of columns that are as wide as their widest cell; the first row is the heading. */
export function table (rows: string[][]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0))) ?? []
  const lines = rows.map(row => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd())
  return [colored('bold', lines[0] ?? ''), ...lines.slice(1)].join('\n')
}
