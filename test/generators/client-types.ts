import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { run } from '../../scripts/services/programs.ts'
import { packageRoot } from '../../src/package-root.ts'
import { installed, installGenerators, refuseWarnings, workplace } from './workplace.ts'

const help = `Usage: npm run client:types [-- --check]

Writes client/openapi.d.ts, the types of signout-client, from openapi.json. Installs the generators from npm into
.services/generators. Run it after npm run openapi.

  --check   write nothing, and exit with 1 if the file is not up to date
  --help    print this help
`
const target = join(packageRoot, 'client', 'openapi.d.ts')

const { values } = parseArgs({ options: { help: { type: 'boolean' }, check: { type: 'boolean' } } })
if (values.help === true) {
  process.stdout.write(help)
} else {
  installGenerators()
  const made = join(workplace, 'client.d.ts')
  const cli = installed('openapi-typescript/bin/cli.js')
  refuseWarnings(run(process.execPath, [cli, join(packageRoot, 'openapi.json'), '-o', made]))
  const isUpToDate = readFileSync(made, 'utf8') === readFileSync(target, 'utf8')
  if (values.check !== true) writeFileSync(target, readFileSync(made))
  else if (!isUpToDate) {
    process.stderr.write('client/openapi.d.ts is not made from openapi.json: run npm run client:types.\n')
    process.exitCode = 1
  }
}
