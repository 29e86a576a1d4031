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
import { findPgBouncer } from './services/pgbouncer.ts'
import { ServicesError, findProgramFolder } from './services/programs.ts'
import { ensureRedis, isInstalled, stopRedis } from './services/redis.ts'
import { readState, servicesDir, writeState, type Service } from './services/state.ts'

const help = `Usage: npm run services [-- --stop]

Makes a real Redis and a real Postgres available to the tests, and may be run again at any time. For each it takes the
first that is to be had: the one that REDIS_URL or DATABASE_URL names; one that an earlier run started; one started
from installed programs; one from docker-compose.yml; one installed with apt-get (as root) or brew.

The tests also get curl, a PgBouncer, a Chromium (CHROMIUM names another) that opens the report of \`npm run load\`, and
libfaketime (FAKETIME_LIBRARY names another), which gives one process a wrong clock.

What it starts listens on a free port of the loopback address and keeps its data below .services.

  --stop   stop what was started, and remove its data
  --help   print this
`

const { values } = parseArgs({ options: { stop: { type: 'boolean' }, help: { type: 'boolean' } } })

if (values.help === true) {
  process.stdout.write(help)
} else {
  try {
    // Two runs at once would start two of each.
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
  // The tests of faults do to a Redis of their own what must not be done to one that others use.
  if (!isInstalled() && !hasDockerEngine()) install('redis', line => report('Redis', line))
  ensureOptional('pgbouncer', 'PgBouncer', findPgBouncer, 'the tests of PgBouncer')
  ensureOptional('chromium', 'Chromium', findChromium, 'the tests of pages')
  ensureOptional('faketime', 'faketime', findFaketime, 'the tests of a replica with a wrong clock')
}

/** Installs a program that a few tests need. Where it is not available, only those tests fail. */
function ensureOptional (
  program: 'pgbouncer' | 'chromium' | 'faketime', name: string, find: () => string | undefined, tests: string
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
  process.stdout.write('Stopped what was started.\n')
}

function howItCame ({ source }: Service): string {
  return {
    environment: 'named by the environment', started: 'started from installed programs', docker: 'run by Docker'
  }[source]
}

function report (name: string, line: string): void {
  process.stdout.write(`${name.padEnd(8)} ${line}\n`)
}
