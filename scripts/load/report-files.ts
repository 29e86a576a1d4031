import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LoadError } from './failure.ts'
import { htmlOf } from './report-html.ts'
import type { Report } from './report.ts'

/**
 * Creates the folder of the reports. Throws a `LoadError` if it cannot be written to, before a long run is measured for
 * nothing.
 */
export function prepareFolder (folder: string): void {
  const probe = join(folder, `.${process.pid}.probe`)
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(probe, '')
    rmSync(probe)
  } catch (error) {
    throw unwritable(folder, error)
  }
}

/** Writes the reports, over earlier ones of this run, and returns their files. Throws a `LoadError` if that fails. */
export function writeReports (report: Report, folder: string): string[] {
  const name = join(folder, `${report.startedAt.replace(/\.\d+Z$/, '').replaceAll(':', '-')}-${report.profile}`)
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(`${name}.json`, `${JSON.stringify(report, null, 2)}\n`)
    writeFileSync(`${name}.html`, htmlOf(report))
  } catch (error) {
    throw unwritable(folder, error)
  }
  return [`${name}.json`, `${name}.html`]
}

function unwritable (folder: string, error: unknown): LoadError {
  return new LoadError(
    `The reports cannot be written to ${folder} (${(error as NodeJS.ErrnoException).code ?? String(error)}): name another folder with --output.`
  )
}
