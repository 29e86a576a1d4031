import { resolve } from 'node:path'
import { createClocks, type Clocks } from '../../clocks/clocks.ts'
import { checkConfig, type Config, type Storage } from '../../config.ts'
import { settings, type SettingSchema } from '../../settings/read-settings.ts'
import { fileVariableOf } from '../../settings/secret-files.ts'
import { inspectPostgres, type PostgresFindings } from '../../db/postgres/postgres.ts'
import { describeUrl } from '../../input/describe-url.ts'
import { OutageError, StartupError } from '../../errors.ts'
import { openRedis } from '../../redis/open-redis.ts'
import { describeTopology, variableOf, type RedisTopology } from '../../redis/topology.ts'
import { describeMembers } from '../../redis/topology-settings.ts'
import { clockFlaws, recordServer } from '../../redis/health/auditor.ts'
import { createOwnershipCheck } from '../../record/ownership.ts'
import { auditRedis, describeFlaw, isAcknowledged } from '../../redis/health/examination.ts'
import { CommandError, isOutage, unavailable } from '../failure.ts'
import { forCommand } from '../open-app.ts'
import { readEnvAndWarn } from '../read-config.ts'
import { print, printJson } from '../terminal.ts'

/** The result of a check: a line for each server that is fit, and the failures. */
interface Findings {
  lines: string[]
  failures: Failure[]
}

interface Failure {
  line: string
  /** True if the server is unavailable. False for a mistake. */
  isOutage: boolean
}

/**
 * Prints the settings in effect, and checks the servers. Rejects with a `CommandError` that has a line for each
 * mistake, and for each server that cannot be reached.
 */
export async function printConfigCheck (asJson: boolean): Promise<void> {
  const env = readEnvAndWarn()
  const { config, settings: given, mistakes } = checkConfig(env)
  const shown = config === undefined ? [] : describeSettings(given, env)
  if (!asJson) for (const { line } of shown) print(line)
  const { lines, failures } = config === undefined
    ? { lines: [], failures: mistakes.map(line => ({ line, isOutage: false })) }
    : await examine(config)
  const problems = failures.map(({ line }) => line)
  if (asJson) {
    const values = Object.fromEntries(shown.map(({ name, value, origin }) => [name, { value, origin }]))
    printJson({ ok: problems.length === 0, settings: values, servers: lines, problems })
  } else if (config !== undefined) {
    print('')
    for (const line of lines) print(line)
  }
  if (failures.length === 0) return
  throw new CommandError(problems, { exitCode: failures.every(({ isOutage }) => isOutage) ? unavailable : 1 })
}

async function examine (config: Config): Promise<Findings> {
  if (config.storage.kind === 'servers') return await reachServers(forCommand(config), config.storage)
  return {
    lines: [
      `Embedded: the database is in ${resolve(config.storage.dataDir)} and was not opened; the blocklist is in the memory of the server.`
    ],
    failures: []
  }
}

interface ShownSetting {
  name: string
  /** Null if it is not set, and has no default. */
  value: string | null
  origin: 'default' | 'environment' | 'file'
  line: string
}

function describeSettings (given: ReturnType<typeof checkConfig>['settings'], env: NodeJS.ProcessEnv): ShownSetting[] {
  return settings.map(([name, schema]) => {
    const value = shownValue(name, schema, given[name])
    const origin = originOf(name, schema, env)
    const suffix = { default: '  (default)', environment: '', file: `  (from ${fileVariableOf(name)})` }[origin]
    return { name, value, origin, line: value === null ? `${name} is not set` : `${name}=${value}${suffix}` }
  })
}

function originOf (name: string, { secret }: SettingSchema, env: Record<string, string | undefined>) {
  if (env[name]) return 'environment'
  return secret === true && env[fileVariableOf(name)] ? 'file' : 'default'
}

function shownValue (name: string, { secret }: SettingSchema, value: unknown): string | null {
  if (value === undefined) return null
  return secret === true ? masked(name, value) : String(value)
}

/** Returns the address that a secret points to, or the length of any other secret. */
function masked (name: string, secret: unknown): string {
  if (Array.isArray(secret)) return describeMembers(secret)
  return name.endsWith('_URL') ? describeUrl(String(secret)) : `(secret, ${Buffer.byteLength(String(secret))} bytes)`
}

async function reachServers (config: Config, storage: Storage & { kind: 'servers' }): Promise<Findings> {
  const postgres = inspectPostgres({ url: storage.databaseUrl, deadlineMs: config.database.deadlineMs })
  const clocks = createClocks(config.clocks)
  const redis = reachRedis(config, storage.redis, { postgres, clocks })
  const asked = await Promise.allSettled([postgres.then(findings => {
    clocks.note(recordServer, findings.clock)
    if (findings.isReadOnly) {
      throw new CommandError(
        `DATABASE_URL: Postgres at ${describeUrl(storage.databaseUrl)} is read-only: it may be a standby. Name the primary, or turn default_transaction_read_only off.`
      )
    }
    return describePostgres(findings, storage.databaseUrl, config.database.migratesOnStart)
  }), redis])
  const lines = asked.flatMap(answer => answer.status === 'fulfilled' ? [answer.value] : [])
  const failures = asked.flatMap(answer => answer.status === 'rejected' ? toFailures(answer.reason) : [])
  failures.push(...clockFlaws(clocks.compare(), config.clocks.leewaySeconds).map(flaw =>
    ({ line: describeFlaw(flaw, storage.redis), isOutage: false })))
  return { lines, failures }
}

function toFailures (error: unknown): Failure[] {
  if (error instanceof CommandError) return error.lines.map(line => ({ line, isOutage: false }))
  if (error instanceof StartupError) return [{ line: error.message, isOutage: isOutage(error) }]
  throw error
}

function describePostgres (
  { pendingMigrations: { length: pending } }: PostgresFindings, url: string, migratesOnStart: boolean
): string {
  const who = migratesOnStart
    ? 'the next start, or signout migrate, applies'
    : 'no start works before signout migrate applies'
  const tables = pending === 0
    ? 'its tables are up to date'
    : `its tables are not up to date: ${who} ${pending} migration${pending === 1 ? '' : 's'}`
  return `Postgres at ${describeUrl(url)} can be reached, and ${tables}.`
}

/**
 * Audits Redis as every start does, and returns the line to print. The owner of the blocklist is only checked if
 * Postgres answers.
 */
async function reachRedis (
  config: Config,
  topology: RedisTopology,
  { postgres, clocks }: { postgres: Promise<PostgresFindings>, clocks: Clocks }
): Promise<string> {
  const { deadlineMs, prefix, noevictionAcknowledged } = config.blocklist
  const redis = openRedis(topology)
  try {
    const connections = await redis.connect({ deadlineMs })
    const ours = await postgres.then(
      ({ recordIds }) => ({ holdsForeign: createOwnershipCheck(prefix, async () => recordIds) }),
      () => ({})
    )
    const flaws = (
      await Promise.all(connections.servers().map(server => auditRedis({ ...server, prefix, clocks, ...ours })))
    ).flat()
    const refused = flaws.filter(flaw => !isAcknowledged(flaw, noevictionAcknowledged))
    if (refused.length > 0) throw new CommandError(refused.map(flaw => describeFlaw(flaw, topology)))
    return `Redis at ${describeTopology(topology)} can be reached, and is fit for a blocklist.`
  } catch (cause) {
    if (cause instanceof CommandError || cause instanceof StartupError) throw cause
    throw new OutageError(
      'blocklist',
      `${variableOf(topology)}: ${describeTopology(topology)} does not answer (${(cause as Error).message}).`,
      { cause }
    )
  } finally {
    redis.close()
  }
}
