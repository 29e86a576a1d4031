import { readFileSync } from 'node:fs'
import t from 'tap'
import { faultsFile, makeFaults, readRows } from './table.ts'

t.test('docs/faults.md is what the tests say', async t => {
  t.equal(makeFaults(), readFileSync(faultsFile, 'utf8'), 'run `npm run faults:table` and commit it')
})

t.test('every row says all there is to say, and none is there twice', async t => {
  const rows = readRows()
  t.ok(rows.length > 20)
  for (const row of rows) {
    for (const key of ['fault', 'get', 'within', 'never', 'recovers'] as const) {
      t.match(row[key], /^\S.*[^.\s]$/, `${row.fault}: ${key}`)
    }
  }
  t.equal(new Set(rows.map(({ fault }) => fault)).size, rows.length)
})
