import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { packageRoot } from '../../src/package-root.ts'
import type { FaultRow } from '../support/fault.ts'
import { violationKinds } from './history/checker.ts'
import { faults } from './history/faults.ts'
import { subjects, type FaultSubject } from './rows/rows.ts'

/** The document that contains the tables. The text around them is written by hand. */
export const faultsFile: string = join(packageRoot, 'docs', 'faults.md')

const columns: Array<[heading: string, key: keyof FaultRow]> = [
  ['what happens', 'fault'],
  ['what requests get', 'get'],
  ['how fast', 'within'],
  ['what must never happen', 'never'],
  ['how it recovers', 'recovers']
]

/** Returns the document, with its generated sections made from the rows, the random faults and the violations. */
export function makeFaults (): string {
  const sections: Record<string, string> = {
    faults: subjects.map(tableOf).join('\n\n'),
    random: faults.map(({ title }) => `- ${title}`).join('\n'),
    violations: Object.values(violationKinds).map(what => `- ${what}`).join('\n')
  }
  return readFileSync(faultsFile, 'utf8').replace(
    /(<!-- (\w+) -->)[^]*?(<!-- end -->)/g,
    (_, begin: string, name: string, end: string) => {
      const section = sections[name]
      if (section === undefined) throw new Error(`docs/faults.md has a section ${name}, which this script cannot make.`)
      return `${begin}\n\n${section}\n\n${end}`
    }
  )
}

function tableOf ({ heading, rows }: FaultSubject): string {
  return [
    `### ${heading}\n`,
    line(columns.map(([heading]) => heading)),
    line(columns.map(() => '---')),
    ...Object.values(rows).map(row => line(columns.map(([, key]) => row[key] ?? '')))
  ].join('\n')
}

function line (cells: string[]): string {
  return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

if (process.argv[1] === import.meta.filename) {
  new Command('npm run faults:table --')
    .description('Writes the tables of docs/faults.md from the rows in test/faults/rows.')
    .option('--check', 'write nothing; exit with 1 if the tables differ from the rows')
    .action(({ check }: { check?: true }) => {
      if (check === undefined) writeFileSync(faultsFile, makeFaults())
      else if (makeFaults() !== readFileSync(faultsFile, 'utf8')) {
        process.stderr.write(
          'docs/faults.md differs from the rows in test/faults/rows. Run `npm run faults:table` and commit it.\n'
        )
        process.exitCode = 1
      }
    })
    .parse()
}
