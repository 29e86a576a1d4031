import { closeSync, openSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createFile, replaceFile } from '../../scripts/services/state.ts'
import { scratchFolder } from '../support/app.ts'

t.test('a process that is reading a file while it is replaced reads the whole old text', async t => {
  const folder = scratchFolder(t)
  const file = join(folder, 'state.json')
  replaceFile(file, 'old')
  const reading = openSync(file, 'r')
  t.teardown(() => { closeSync(reading) })
  replaceFile(file, 'new text')
  t.equal(readFileSync(reading, 'utf8'), 'old')
  t.equal(readFileSync(file, 'utf8'), 'new text')
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.strictSame(readdirSync(folder), ['state.json'], 'nothing else is left')
})

t.test('a file that another process has created is kept', async t => {
  const folder = scratchFolder(t)
  const file = join(folder, 'secret')
  createFile(file, 'theirs')
  createFile(file, 'ours')
  t.equal(readFileSync(file, 'utf8'), 'theirs')
  t.strictSame(readdirSync(folder), ['secret'], 'nothing else is left')
})
