import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/package-root.ts'
import { formatCapacity, toInputs } from './capacity.ts'
import { formatReport } from './report.ts'
import type { BenchResult } from './result.ts'

const command = '`npm run bench -- --write`'
const [begin, end] = [
  `<!-- What follows is written by ${command}. -->`, `<!-- What precedes is written by ${command}. -->`
]

/** A document cannot be written. */
export class DocumentError extends Error {}

/** Puts the measured tables into the documents, between the lines that say so. */
export function writeDocuments (result: BenchResult): void {
  const inputs = toInputs(result)
  if (inputs === undefined) throw new DocumentError('Something is missing that docs/capacity.md needs.')
  replaceIn('benchmarks.md', formatReport(result))
  replaceIn('capacity.md', formatCapacity(inputs))
}

/** What a document holds of ours. */
export function readWritten (name: string): string | undefined {
  return split(name)?.written
}

function replaceIn (name: string, written: string): void {
  const parts = split(name)
  if (parts === undefined) {
    throw new DocumentError(`docs/${name} has lost the lines between which the tables are written.`)
  }
  writeFileSync(join(packageRoot, 'docs', name), `${parts.before}${begin}\n\n${written}\n\n${end}${parts.after}`)
}

function split (name: string): { before: string, written: string, after: string } | undefined {
  const [before, rest] = readFileSync(join(packageRoot, 'docs', name), 'utf8').split(begin)
  const [written, after] = rest?.split(end) ?? []
  return before === undefined || written === undefined || after === undefined
    ? undefined
    : { before, written: written.trim(), after }
}
