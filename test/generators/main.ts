import { parseArgs } from 'node:util'
import { ServicesError } from '../../scripts/services/programs.ts'
import { issuer, scratchFolder } from '../support/app.ts'
import { fetchFrom } from '../support/requests.ts'
import { startServer } from '../support/server-process.ts'
import { createOwner } from '../support/teardown.ts'
import { generators } from './generators.ts'
import { installGenerators } from './workplace.ts'

const names = Object.keys(generators)
const help = `Usage: npm run check:generators -- [NAME ...]

Generates a client with each generator (default: ${names.join(', ')}). It must not warn. The client is
compiled strictly with a program, which signs in, reads, pages, refreshes and logs out at a running service. Installs the
generators from npm into .services/generators, and compilers with apt-get. Exits with 1 if one fails.

  --help    print this help
`
const username = 'ada@example.com'
const password = 'correct horse battery staple'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { help: { type: 'boolean' } } })
if (values.help === true) {
  process.stdout.write(help)
} else if (positionals.some(name => !names.includes(name))) {
  process.stderr.write(`NAME must be one of ${names.join(', ')}.\n\n${help}`)
  process.exitCode = 2
} else {
  const owner = createOwner()
  try {
    installGenerators()
    const env = { ISSUER: issuer, DATA_DIR: scratchFolder(owner), PORT: '0' }
    const { address } = await startServer(owner, env)
    const body = { username, password }
    await fetchFrom(address, 'POST /register', { body })
    for (const name of positionals.length > 0 ? positionals : names) tryGenerator(name, address)
  } finally {
    await owner.close()
  }
}

function tryGenerator (name: string, address: string): void {
  const { document, prepare } = generators[name] as typeof generators[string]
  try {
    prepare()([address, username, password])
    process.stdout.write(`ok      ${name.padEnd(20)} from ${document}\n`)
  } catch (error) {
    if (!(error instanceof ServicesError)) throw error
    process.stdout.write(`FAILED  ${name.padEnd(20)} from ${document}\n${error.message.slice(-4_000)}\n`)
    process.exitCode = 1
  }
}
