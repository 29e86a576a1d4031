import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import concurrently from 'concurrently'
import { packageRoot } from '../src/package-root.ts'
import { readState, servicesDir } from './services/state.ts'

const maxReplicas = 50
const help = `Usage: npm run replicas -- [COUNT] [--first-port PORT]

Starts COUNT replicas of the service (3 when it is left out) as processes on ports from 3001, against the Redis and the
Postgres that REDIS_URL and DATABASE_URL name; when one is not set, against that of \`npm run services\`. Ctrl-C stops
them all. ISSUER and KEY_ENCRYPTION_SECRET are made up when they are not set.

  --first-port PORT   the port of the first replica; the others have the next ones
  --help              print this
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'first-port': { type: 'string', default: '3001' }, help: { type: 'boolean' } }
})
const count = Number(positionals[0] ?? 3)
const firstPort = Number(values['first-port'])

if (values.help === true) {
  process.stdout.write(help)
} else if (positionals.length > 1 || !Number.isInteger(count) || count < 1 || count > maxReplicas) {
  fail(`COUNT must be a whole number from 1 to ${maxReplicas}.\n\n${help}`)
} else if (!Number.isInteger(firstPort) || firstPort < 1 || firstPort + count > 65_536) {
  fail(`PORT must be a whole number from 1, with as many ports after it as there are replicas.\n\n${help}`)
} else {
  await start(serversEnv())
}

/** Runs the replicas until they are stopped, or until one of them cannot start. */
async function start (env: Record<string, string>): Promise<void> {
  const ports = Array.from({ length: count }, (_, index) => firstPort + index)
  const { result } = concurrently(ports.map(port => ({
    name: String(port),
    // Without a shell in between, so that signals reach the server itself.
    command: `${process.platform === 'win32' ? '' : 'exec '}node ${JSON.stringify(join(packageRoot, 'dist', 'src', 'server.js'))}`,
    env: { ...process.env, ...env, PORT: String(port) }
  })), { prefix: 'name', prefixColors: 'auto', killOthersOn: ['failure'], successCondition: 'all' })
  // Replicas that are stopped with a signal end well.
  const ends = await result.catch(ends => ends as Awaited<typeof result>)
  process.exitCode = ends.every(({ exitCode }) => exitCode === 0 || typeof exitCode === 'string') ? 0 : 1
}

function serversEnv (): Record<string, string> {
  const { redis, postgres } = readState()
  const redisUrl = process.env['REDIS_URL'] || redis?.url
  const databaseUrl = process.env['DATABASE_URL'] || postgres?.url
  if (redisUrl === undefined || databaseUrl === undefined) {
    return fail('Replicas need a Redis and a Postgres in common: set REDIS_URL and DATABASE_URL, or run `npm run services` first.\n')
  }
  return {
    REDIS_URL: redisUrl,
    DATABASE_URL: databaseUrl,
    ISSUER: process.env['ISSUER'] || `http://127.0.0.1:${firstPort}`,
    KEY_ENCRYPTION_SECRET: process.env['KEY_ENCRYPTION_SECRET'] || keptSecret()
  }
}

/** The signing key in the database can only be opened with the secret of the first time. */
function keptSecret (): string {
  const file = join(servicesDir, 'key-encryption-secret')
  if (existsSync(file)) return readFileSync(file, 'utf8')
  mkdirSync(servicesDir, { recursive: true })
  const secret = randomBytes(32).toString('base64url')
  writeFileSync(file, secret, { mode: 0o600 })
  return secret
}

function fail (message: string): never {
  process.stderr.write(message)
  process.exit(1)
}
