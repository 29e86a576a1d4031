import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../src/package-root.ts'
import { titleOf } from '../support/fault.ts'
import { subjects } from './rows/rows.ts'
import { faultsFile, makeFaults } from './table.ts'

/** A row names most things in 15 words. A few name two codes, or what other replicas get. */
const maxWords = 17
const maxTitleCharacters = 100

const rows = subjects.flatMap(({ rows }) => Object.values(rows))

t.test('docs/faults.md has the rows, the random faults and the violations of the code', async t => {
  t.equal(makeFaults(), readFileSync(faultsFile, 'utf8'), 'run `npm run faults:table` and commit the result')
})

t.test('no two rows have the same fault, and every title is short', async t => {
  t.ok(rows.length > 50)
  t.equal(new Set(rows.map(({ fault }) => fault)).size, rows.length)
  for (const row of rows) t.ok(titleOf(row).length <= maxTitleCharacters, `${titleOf(row).length}: ${titleOf(row)}`)
})

t.test('every cell of a row is a short text without a full stop', async t => {
  for (const row of rows) {
    for (const key of ['fault', 'get', 'within', 'never', 'recovers'] as const) {
      t.match(row[key], /^\S.*[^.\s]$/, `${row.fault}: ${key}`)
      const words = row[key].split(/\s+/).length
      t.ok(words <= maxWords, `${row.fault}: ${key} has ${words} words`)
    }
  }
})

t.test('every row is shown by exactly one test', async t => {
  const folder = join(packageRoot, 'test', 'faults')
  const tests = readdirSync(folder)
    .filter(name => name.endsWith('.test.ts'))
    .map(name => readFileSync(join(folder, name), 'utf8'))
    .join('\n')
  const names = subjects.flatMap(({ name, rows }) => Object.keys(rows).map(key => `${name}.${key}`))
  const shown = [...tests.matchAll(/\btestFault\(\s*t,\s*(\w+\.\w+),/g)].map(([, name]) => name)
  t.same(shown.sort(), names.sort())
  t.equal(shown.length, [...tests.matchAll(/\btestFault\(/g)].length, 'every test of a fault names its row')
})
