import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/package-root.ts'
import { formatCapacity, toInputs } from './capacity.ts'
import { formatReport } from './report.ts'
import type { BenchResult } from './result.ts'
import { describeSignatures, formatSignatures } from './signatures.ts'

/** The two lines between which a command writes its tables. */
const marks = (command: string) => [
  `<!-- What follows is written by \`${command}\`. -->`, `<!-- What precedes is written by \`${command}\`. -->`
] as const
const ofAll = marks('npm run bench -- --write')
const ofSignatures = marks('npm run bench -- --only signatures --write')

/** Thrown when a document cannot be written. */
export class DocumentError extends Error {}

/** Writes the measured tables into the documents, between the two lines that mark them. */
export function writeDocuments (result: BenchResult, parts: readonly string[]): void {
  if (parts.some(part => part !== 'signatures')) {
    const inputs = toInputs(result)
    if (inputs === undefined) {
      throw new DocumentError('The run lacks a part that docs/capacity.md needs. Measure all parts.')
    }
    replaceIn('benchmarks.md', formatReport(result), ofAll)
    replaceIn('capacity.md', formatCapacity(inputs), ofAll)
  }
  if (result.signatures === undefined) throw new DocumentError('The run lacks the signatures. Measure all parts.')
  replaceIn('benchmarks.md', `${describeSignatures(result)}\n\n${formatSignatures(result.signatures)}`, ofSignatures)
}

/** Returns the measured tables of a document, or undefined if it lacks the two lines that mark them. */
export function readWritten (name: string): string | undefined {
  return split(name, ofAll)?.written
}

function replaceIn (name: string, written: string, [begin, end]: readonly [string, string]): void {
  const parts = split(name, [begin, end])
  if (parts === undefined) {
    throw new DocumentError(
      `docs/${name} lacks the two lines between which the tables are written. Restore them: ${begin} and ${end}`
    )
  }
  writeFileSync(join(packageRoot, 'docs', name), `${parts.before}${begin}\n\n${written}\n\n${end}${parts.after}`)
}

function split (
  name: string, [begin, end]: readonly [string, string]
): { before: string, written: string, after: string } | undefined {
  const [before, rest] = readFileSync(join(packageRoot, 'docs', name), 'utf8').split(begin)
  const [written, after] = rest?.split(end) ?? []
  return before === undefined || written === undefined || after === undefined
    ? undefined
    : { before, written: written.trim(), after }
}
