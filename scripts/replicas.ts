import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs, styleText } from 'node:util'
import { packageRoot } from '../src/package-root.ts'
import { readEnv } from '../src/input/read-env.ts'
import { keptSecret, readState } from './services/state.ts'

const maxReplicas = 50
const colors = ['cyan', 'magenta', 'yellow', 'green', 'blue'] as const
const help = `Usage: npm run replicas -- [COUNT] [--first-port PORT]

Starts COUNT replicas of the service (default: 3) as processes, on ports from 3001. Ctrl-C stops all replicas.

The replicas use the Redis and the Postgres that REDIS_URL and DATABASE_URL name, in the environment or in .env. If one
of these is not set, the replicas use the server of \`npm run services\`. ISSUER and KEY_ENCRYPTION_SECRET get values
automatically when they are not set. With METRICS_PORT, each replica also has a port for metrics, counted up from there.

  --first-port PORT   the port of the first replica (default: 3001); the others get the next ports
  --help              print this help
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'first-port': { type: 'string', default: '3001' }, help: { type: 'boolean' } }
})
const count = wholeNumber(positionals[0] ?? '3')
const firstPort = wholeNumber(values['first-port'])

if (values.help === true) {
  process.stdout.write(help)
} else if (positionals.length > 1 || !Number.isInteger(count) || count < 1 || count > maxReplicas) {
  fail(`COUNT must be a whole number from 1 to ${maxReplicas}.\n\n${help}`)
} else if (!Number.isInteger(firstPort) || firstPort < 1 || firstPort + count > 65_536) {
  fail(`PORT must be a whole number from 1 to 65535. Each further replica needs the next port.\n\n${help}`)
} else {
  await start(serversEnv())
}

/** Returns the number of a text of decimal digits, or NaN for any other text. */
function wholeNumber (text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : NaN
}

/** Runs the replicas until they are stopped. If one of them ends on its own, the others are stopped as well. */
async function start (env: Record<string, string>): Promise<void> {
  const replicas = Array.from({ length: count }, (_, index) => spawnReplica(firstPort + index, index, env))
  let stopping = false
  // Only once: Ctrl-C reaches this process twice, from the terminal and from its parent. A second SIGTERM would make a
  // replica end at once, with requests under way.
  const stopAll = () => {
    if (stopping) return
    stopping = true
    for (const { child } of replicas) child.kill('SIGTERM')
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stopAll)
  const codes = await Promise.all(replicas.map(async ({ ended }) => {
    const code = await ended
    stopAll()
    return code
  }))
  process.exitCode = codes.every(code => code === 0) ? 0 : 1
}

/** Starts a replica in a process group of its own, so that Ctrl-C in a terminal reaches it through `stopAll` alone. */
function spawnReplica (
  port: number, index: number, env: Record<string, string>
): { child: ChildProcess, ended: Promise<number | null> } {
  const metricsPort = env['METRICS_PORT']
  const child = spawn(process.execPath, [join(packageRoot, 'dist', 'src', 'server.js')], {
    env: {
      ...process.env,
      ...env,
      PORT: String(port),
      ...(metricsPort && { METRICS_PORT: String(Number(metricsPort) + index) })
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true
  })
  const prefix = process.stdout.isTTY ? styleText(colors[index % colors.length] ?? 'cyan', `[${port}]`) : `[${port}]`
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', line => process.stdout.write(`${prefix} ${line}\n`))
  }
  const ended = new Promise<number | null>(resolve => {
    child.once('close', (code, signal) => {
      process.stdout.write(`${prefix} ended with ${code ?? signal}\n`)
      resolve(code)
    })
  })
  return { child, ended }
}

function serversEnv (): Record<string, string> {
  const { redis, postgres } = readState()
  const env = readEnv()
  const isElsewhere = Boolean(env['REDIS_SENTINELS'] || env['REDIS_CLUSTER_NODES'])
  const redisUrl = env['REDIS_URL'] || (isElsewhere ? '' : redis?.url)
  const databaseUrl = env['DATABASE_URL'] || postgres?.url
  if (redisUrl === undefined || databaseUrl === undefined) {
    return fail(
      'Replicas need a Redis and a Postgres that they share: set REDIS_URL and DATABASE_URL, or run `npm run services` first.\n'
    )
  }
  return {
    REDIS_URL: redisUrl,
    DATABASE_URL: databaseUrl,
    METRICS_PORT: env['METRICS_PORT'] ?? '',
    ISSUER: env['ISSUER'] || `http://127.0.0.1:${firstPort}`,
    KEY_ENCRYPTION_SECRET: env['KEY_ENCRYPTION_SECRET'] || keptSecret('key-encryption-secret')
  }
}

function fail (message: string): never {
  process.stderr.write(message)
  process.exit(1)
}
