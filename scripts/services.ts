import { mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { waitForLock } from 'fs-native-extensions'
import { describeUrl } from '../src/input/describe-url.ts'
import { findChromium } from './services/chromium.ts'
import { composeDown, hasDockerEngine } from './services/docker.ts'
import { findFaketime } from './services/faketime.ts'
import { install } from './services/install.ts'
import { ensurePostgres, stopPostgres } from './services/postgres.ts'
import { findProxy } from './services/proxies.ts'
import { findPgBouncer } from './services/pgbouncer.ts'
import { findPromtool } from './services/promtool.ts'
import { ServicesError, findProgramFolder, findPyJwt } from './services/programs.ts'
import { ensureRedis, isInstalled, stopRedis } from './services/redis.ts'
import { readState, servicesDir, writeState, type Service } from './services/state.ts'

const help = `Usage: npm run services [-- --stop]

Provides a real Redis and a real Postgres for the tests. You can run it again at any time. It uses the first of these
that is available, for each of the two servers:

  1. the server that REDIS_URL or DATABASE_URL names
  2. a server that an earlier run has started
  3. a server that it starts from installed programs
  4. a server that it starts from docker-compose.yml
  5. a server that it installs with apt-get (as root) or brew, and starts

It also installs programs for the tests: curl, PgBouncer, nginx, HAProxy, Caddy, promtool, Java and
PyJWT for examples, a Chromium that opens the report of \`npm run load\`, and libfaketime, which gives one process a
wrong clock. CHROMIUM and FAKETIME_LIBRARY may name others.

The servers that it starts listen on free ports of the loopback address. Their data is scratch: in .services, or in
/dev/shm if that has 4 GiB to spare.

  --stop   stop the servers that were started, and remove their data
  --help   print this help
`

const { values } = parseArgs({ options: { stop: { type: 'boolean' }, help: { type: 'boolean' } } })

if (values.help === true) {
  process.stdout.write(help)
} else {
  try {
    // Two runs at the same time would start two servers of each kind.
    mkdirSync(servicesDir, { recursive: true })
    await waitForLock(openSync(join(servicesDir, 'lock'), 'a'))
    if (values.stop === true) await stop()
    else await start()
    process.exit(0)
  } catch (error) {
    if (!(error instanceof ServicesError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  }
}

async function start (): Promise<void> {
  const state = readState()
  state.redis = await ensureRedis(state.redis, line => report('Redis', line))
  writeState(state)
  report('Redis', `${describeUrl(state.redis.url)} (${howItCame(state.redis)})`)
  state.postgres = await ensurePostgres(state.postgres, line => report('Postgres', line))
  writeState(state)
  report('Postgres', `${describeUrl(state.postgres.url)} (${howItCame(state.postgres)})`)
  // The tests run the commands of the README.
  if (findProgramFolder('curl') === undefined) install('curl', line => report('curl', line))
  // Tests of faults need a Redis of their own, because they break it.
  if (!isInstalled() && !hasDockerEngine()) install('redis', line => report('Redis', line))
  ensureOptional('pgbouncer', 'PgBouncer', findPgBouncer, 'the tests of PgBouncer')
  for (const [program, name] of [['nginx', 'nginx'], ['haproxy', 'HAProxy'], ['caddy', 'Caddy']] as const) {
    ensureOptional(program, name, () => findProxy(program), `the tests of ${name}`)
  }
  ensureOptional('java', 'Java', () => findProgramFolder('java', 'javac'), 'the tests of services in other languages')
  ensureOptional('pyjwt', 'PyJWT', findPyJwt, 'the tests of services in other languages')
  ensureOptional('chromium', 'Chromium', findChromium, 'the tests of pages')
  ensureOptional('prometheus', 'promtool', findPromtool, 'the tests of the alerts and the dashboard')
  ensureOptional('faketime', 'faketime', findFaketime, 'the tests of a replica with a wrong clock')
}

/** Installs a program that a few tests need. If it is not available, only those tests fail. */
function ensureOptional (
  program: Parameters<typeof install>[0], name: string, find: () => string | undefined, tests: string
): void {
  if (find() !== undefined) return
  try {
    install(program, line => report(name, line))
  } catch (error) {
    if (!(error instanceof ServicesError)) throw error
    report(name, `${error.message} Without it only ${tests} fail.`)
  }
}

async function stop (): Promise<void> {
  const { redis, postgres } = readState()
  if (redis !== undefined) await stopRedis(redis)
  if (postgres !== undefined) stopPostgres(postgres)
  if (redis?.source === 'docker' || postgres?.source === 'docker') composeDown()
  writeState({})
  process.stdout.write('Stopped the servers that were started.\n')
}

function howItCame ({ source }: Service): string {
  return {
    environment: 'named by the environment', started: 'started from installed programs', docker: 'runs in Docker'
  }[source]
}

function report (name: string, line: string): void {
  process.stdout.write(`${name.padEnd(8)} ${line}\n`)
}
