import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config.ts'
import { packageRoot } from '../src/package-root.ts'

const help = `Usage: npm run openapi [-- --check]

Writes openapi.json, which describes the API for client generators.

  --check  write nothing, and exit with 1 if openapi.json differs from the routes
  --help   print this help
`

/** The file of the committed document. */
export const openapiFile: string = join(packageRoot, 'openapi.json')

/** Returns the document of the current routes, as text. */
export async function makeOpenapi (): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'signout-openapi-'))
  const app = buildApp(loadConfig({ DATA_DIR: dataDir }), false)
  try {
    await app.ready()
    return `${JSON.stringify(app.swagger(), null, 2)}\n`
  } finally {
    await app.close()
    await rm(dataDir, { recursive: true })
  }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { check: { type: 'boolean' }, help: { type: 'boolean' } } })
  if (values.help === true) process.stdout.write(help)
  else if (values.check !== true) writeFileSync(openapiFile, await makeOpenapi())
  else if (await makeOpenapi() !== readFileSync(openapiFile, 'utf8')) {
    process.stderr.write('openapi.json differs from the routes: run `npm run openapi`, and commit the file.\n')
    process.exitCode = 1
  }
}
