import { createWriteStream, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { constants, createBrotliCompress } from 'node:zlib'
import { PGlite } from '@electric-sql/pglite'
import { Command } from 'commander'
import { create } from 'tar'
import { initialDatabase } from '../src/db/embedded/initial-database.ts'

await new Command('npm run initdb --')
  .description([
    'Makes the empty database that the first start of the embedded mode copies, as the initdb of the installed',
    'PGlite makes it. Run it when PGlite has a new version. It takes half a minute.'
  ].join(' '))
  .action(makeInitialDatabase)
  .parseAsync()

async function makeInitialDatabase (): Promise<void> {
  const file = initialDatabase()
  const folder = mkdtempSync(join(tmpdir(), 'signout-initdb-'))
  try {
    await (await PGlite.create(folder)).close()
    // The databases of Postgres hold the same files several times, in further places than brotli looks at by default.
    const params = { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS }
    const archive = create({ cwd: folder, portable: true, noMtime: true }, readdirSync(folder))
    await pipeline(archive, createBrotliCompress({ params }), createWriteStream(file))
    for (const name of readdirSync(dirname(file))) {
      if (name !== basename(file)) rmSync(join(dirname(file), name))
    }
    process.stdout.write(`Made ${file}\n`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
