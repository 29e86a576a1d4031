import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../src/package-root.ts'
import {
  archiveFile, changeBuild, presentBuild, previousBuild, programOf, readDescription, withNextFormat
} from './build.ts'

t.test('the archive of the previous build is what its description says, small, and not in the package', async t => {
  const { folder } = previousBuild(t)
  const { version, recordFormat, lastMigration } = readDescription()
  const read = (path: string) => JSON.parse(readFileSync(join(folder, path), 'utf8'))
  t.equal(read('package.json').version, version)
  const { entries } = read('src/db/migrations/meta/_journal.json') as { entries: Array<{ tag: string }> }
  t.equal(entries.at(-1)?.tag, lastMigration)
  for (const { tag } of entries) t.ok(existsSync(join(folder, 'src', 'db', 'migrations', `${tag}.sql`)), tag)
  // Throws unless the build has this number, once.
  t.doesNotThrow(() => withNextFormat(t, { name: 'previous', folder, recordFormat }))
  t.ok(statSync(archiveFile).size < 500_000)
  const { files } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { files: string[] }
  t.same(files.filter(path => /^(test|\*|\.)/.test(path)), [])
})

t.test('a change of a build throws if the text to change is not there, or is there twice', async t => {
  const present = presentBuild()
  t.ok(existsSync(programOf(present).file))
  for (const find of ['a text that no build has', 'import {']) {
    t.throws(() => changeBuild(t, present, { name: 'changed', patches: [[find, '']] }), /must have it once/)
  }
})
