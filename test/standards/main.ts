import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { packageRoot } from '../../src/package-root.ts'
import type { SigningAlgorithm } from '../../src/db/public-jwk.ts'
import { scratchFolder } from '../support/app.ts'
import { password } from '../support/people.ts'
import { createOwner } from '../support/teardown.ts'
import { libraries } from './libraries.ts'
import { startService, type Service } from './service.ts'

const help = `Usage: npm run check:standards

Lets libraries that know nothing of signout use a running service, once for each signing algorithm that they can
verify: ${Object.keys(libraries).join(', ')}, python3-jwt and
python3-authlib. They discover it, refresh, introspect, revoke, and verify tokens. Exits with 1 if one fails, or if the
packages python3-jwt, python3-authlib and python3-requests are missing.

  --help    print this help
`
const algorithms: SigningAlgorithm[] = ['EdDSA', 'ES256', 'RS256']
/** Debian's. Another Python on the PATH does not have the packages of Debian. */
const python = process.env['PYTHON'] ?? '/usr/bin/python3'
const missing =
  'python3-jwt, python3-authlib or python3-requests is missing: apt-get install python3-jwt python3-authlib python3-requests, or set PYTHON to a Python that has them.'

const { values } = parseArgs({ options: { help: { type: 'boolean' } } })
if (values.help === true) process.stdout.write(help)
else for (const algorithm of algorithms) await tryAll(algorithm)

async function tryAll (algorithm: SigningAlgorithm): Promise<void> {
  const owner = createOwner()
  try {
    const service = await startService(owner, { DATA_DIR: scratchFolder(owner) }, algorithm)
    for (const [name, library] of Object.entries(libraries)) {
      if (library.algorithms.includes(algorithm)) await report(name, algorithm, () => library.use(service))
    }
    await report('python3-jwt and python3-authlib', algorithm, () => usePython(service))
  } finally {
    await owner.close()
  }
}

async function report (name: string, algorithm: string, use: () => Promise<void>): Promise<void> {
  try {
    await use()
    process.stdout.write(`ok      ${algorithm.padEnd(6)} ${name}\n`)
  } catch (error) {
    process.stdout.write(`FAILED  ${algorithm.padEnd(6)} ${name}\n${(error as Error).stack ?? String(error)}\n`)
    process.exitCode = 1
  }
}

async function usePython ({ issuer, algorithm, withSecret, withKey }: Service): Promise<void> {
  const child = spawn(python, [`${packageRoot}/test/standards/python/strangers.py`])
  const failed = new Promise<never>((_resolve, reject) => { child.once('error', () => { reject(new Error(missing)) }) })
  child.stdin.on('error', () => { /* It has ended, and its error says why. */ }).end(JSON.stringify({
    issuer,
    algorithm,
    username: 'ada',
    password,
    client_id: withSecret.id,
    client_secret: withSecret.secret,
    keyed_id: withKey.id,
    private_key: withKey.key.export({ type: 'pkcs8', format: 'pem' })
  }))
  const ended = new Promise<number | null>(resolve => { child.once('close', resolve) })
  const [errors, code] = await Promise.race([Promise.all([text(child.stderr), ended]), failed])
  if (errors.includes('ModuleNotFoundError')) throw new Error(missing)
  if (code !== 0) throw new Error(errors)
}
