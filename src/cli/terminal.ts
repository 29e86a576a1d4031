import { styleText } from 'node:util'
import type { WriteStream } from 'node:tty'
import { escapeText } from '../input/escape-text.ts'

type Style = Parameters<typeof styleText>[0]

/** Prints the result of a command. Line breaks stay. All other characters that a terminal may obey are escaped. */
export function print (text: string): void {
  process.stdout.write(`${text.split('\n').map(escapeText).join('\n')}\n`)
}

/** Prints a value as JSON. */
export function printJson (value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** The largest number of lines that a list has, unless it is printed as JSON. */
const maxLines = 10

/** Prints at most ten lines. If there are more, it prints the summary first, and at the end how many were left out. */
export function printSome (lines: readonly string[], summary?: string): void {
  if (lines.length > maxLines && summary !== undefined) print(summary)
  for (const line of lines.slice(0, maxLines)) print(line)
  printRest(lines.length)
}

function printRest (count: number): void {
  if (count > maxLines) print(`… and ${count - maxLines} more. --json lists all.`)
}

/** Prints an error to stderr, in one line. */
export function warn (line: string): void {
  process.stderr.write(`${label()} ${escapeText(line.replaceAll(/\s*\n\s*/g, ' '))}\n`)
}

/** Returns the beginning of a line on stderr. */
export function label (): string {
  return colored('red', 'signout:', process.stderr)
}

/**
 * Returns a text with color codes if the stream is a terminal with colors and the environment does not disable them.
 */
export function colored (style: Style, text: string, stream: WriteStream = process.stdout): string {
  // In older versions of Node, `styleText` does not check the stream.
  return stream.isTTY && stream.hasColors() ? styleText(style, text) : text
}

/** Returns lines of columns that are as wide as their widest cell. The first row is the heading. Cells are escaped. */
export function table (rows: string[][]): string {
  const escaped = rows.map(row => row.map(escapeText))
  const widths = escaped[0]?.map((_, column) => Math.max(...escaped.map(row => row[column]?.length ?? 0))) ?? []
  const lines = escaped.map(row => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd())
  return [colored('bold', lines[0] ?? ''), ...lines.slice(1)].join('\n')
}

/** Prints a table, whose heading may be colored. */
export function printTable (rows: string[][]): void {
  process.stdout.write(`${table(rows)}\n`)
}

/** Prints a heading and at most ten rows, and how many rows were left out. */
export function printShortTable ([heading = [], ...rows]: string[][]): void {
  printTable([heading, ...rows.slice(0, maxLines)])
  printRest(rows.length)
}

/** Returns an instant in UTC, without the fraction of its second; `-` for none. */
export function toSecond (at: Date | string | undefined): string {
  const text = at instanceof Date ? at.toISOString() : at
  return text?.replace(/\.\d+Z$/, 'Z') ?? '-'
}
