import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import ts from 'typescript'
import { packageRoot } from '../../src/package-root.ts'
import type { FaultRow } from '../support/fault.ts'
import { violationKinds } from './history/checker.ts'
import { faults } from './history/faults.ts'

/** The document that the tables stand in. What is around them is written by hand. */
export const faultsFile: string = join(packageRoot, 'docs', 'faults.md')

const testFolder = join(packageRoot, 'test', 'faults')
const columns: Array<[heading: string, key: keyof FaultRow]> = [
  ['what happens', 'fault'],
  ['what requests get', 'get'],
  ['how fast', 'within'],
  ['what must never happen', 'never'],
  ['how it recovers', 'recovers']
]

/** The document with its tables made anew from the tests. */
export function makeFaults (): string {
  const parts: Record<string, string> = {
    faults: [
      row(columns.map(([heading]) => heading)),
      row(columns.map(() => '---')),
      ...readRows().map(fault => row(columns.map(([, key]) => fault[key] ?? '')))
    ].join('\n'),
    random: faults.map(({ title }) => `- ${title}`).join('\n'),
    violations: Object.values(violationKinds).map(what => `- ${what}`).join('\n')
  }
  return readFileSync(faultsFile, 'utf8').replace(
    /(<!-- (\w+) -->)[^]*?(<!-- end -->)/g,
    (_, begin: string, name: string, end: string) => {
      const part = parts[name]
      if (part === undefined) throw new Error(`docs/faults.md has a place for ${name}, which nothing makes.`)
      return `${begin}\n\n${part}\n\n${end}`
    }
  )
}

/** The rows that the tests are titled by, in the order of files and in that of the tests in them. */
export function readRows (): FaultRow[] {
  const rows: FaultRow[] = []
  for (const name of readdirSync(testFolder).filter(name => name.endsWith('.test.ts')).sort()) {
    ts.forEachChild(
      ts.createSourceFile(name, readFileSync(join(testFolder, name), 'utf8'), ts.ScriptTarget.Latest, true),
      function visit (node) {
        if (ts.isCallExpression(node) && node.expression.getText() === 'testFault') {
          rows.push(readRow(node.arguments[1], name))
        }
        ts.forEachChild(node, visit)
      }
    )
  }
  return rows
}

function readRow (node: ts.Node | undefined, file: string): FaultRow {
  if (node === undefined || !ts.isObjectLiteralExpression(node)) {
    throw new Error(`${file}: a row has to stand where testFault is called.`)
  }
  return Object.fromEntries(node.properties.map(property => {
    if (!ts.isPropertyAssignment(property) || !ts.isStringLiteralLike(property.initializer)) {
      throw new Error(`${file}: ${property.getText()} has to be plain text.`)
    }
    return [property.name.getText(), property.initializer.text]
  })) as unknown as FaultRow
}

function row (cells: string[]): string {
  return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

if (process.argv[1] === import.meta.filename) {
  new Command('npm run faults:table --')
    .description('Writes the tables of docs/faults.md, which are made from the titles of the tests.')
    .option('--check', 'write nothing; exit with 1 when they are not what the tests say')
    .action(({ check }: { check?: true }) => {
      if (check === undefined) writeFileSync(faultsFile, makeFaults())
      else if (makeFaults() !== readFileSync(faultsFile, 'utf8')) {
        process.stderr.write('docs/faults.md is not what the tests say: run `npm run faults:table` and commit it.\n')
        process.exitCode = 1
      }
    })
    .parse()
}
