import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config.ts'
import { packageRoot } from '../src/package-root.ts'

const help = `Usage: npm run openapi [-- --check]

Writes openapi.json and openapi-3.0.json, which describe the API for client generators.

  --check  write nothing, and exit with 1 if one of them differs from the routes
  --help   print this help
`

/** The files of the committed documents, as the service answers them. */
export const openapiFiles = ['openapi.json', 'openapi-3.0.json'] as const
export type OpenapiFile = typeof openapiFiles[number]

/** Returns a committed document. */
export function readOpenapi (file: OpenapiFile): string {
  return readFileSync(join(packageRoot, file), 'utf8')
}

/** Returns the documents of the current routes, as texts. */
export async function makeOpenapi (): Promise<Record<OpenapiFile, string>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'signout-openapi-'))
  const app = buildApp(loadConfig({ DATA_DIR: dataDir, ISSUER: 'https://auth.example.com' }), false)
  try {
    const texts = await Promise.all(openapiFiles.map(async file => {
      const answer = await app.inject(`/${file}`)
      return [file, `${JSON.stringify(answer.json(), null, 2)}\n`]
    }))
    return Object.fromEntries(texts) as Record<OpenapiFile, string>
  } finally {
    await app.close()
    await rm(dataDir, { recursive: true })
  }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { check: { type: 'boolean' }, help: { type: 'boolean' } } })
  if (values.help === true) process.stdout.write(help)
  else for (const [file, text] of Object.entries(await makeOpenapi())) update(file as OpenapiFile, text, values.check)
}

function update (file: OpenapiFile, text: string, isCheck = false): void {
  if (!isCheck) writeFileSync(join(packageRoot, file), text)
  else if (text !== readOpenapi(file)) {
    process.stderr.write(`${file} differs from the routes: run \`npm run openapi\`, and commit the file.\n`)
    process.exitCode = 1
  }
}
