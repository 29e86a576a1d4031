import { resolve } from 'node:path'
import type { TSchema } from 'typebox'
import { createClocks, type Clocks } from '../../clocks/clocks.ts'
import { checkConfig, type Config, type Storage } from '../../config.ts'
import { Settings } from '../../settings/settings.ts'
import { inspectPostgres, type PostgresFindings } from '../../db/postgres/postgres.ts'
import { describeUrl } from '../../input/describe-url.ts'
import { StartupError } from '../../errors.ts'
import { readEnv } from '../../input/read-env.ts'
import { openRedis } from '../../redis/open-redis.ts'
import { describeTopology, variableOf, type RedisTopology } from '../../redis/topology.ts'
import { describeMembers } from '../../redis/topology-settings.ts'
import { clockFlaws, recordServer } from '../../redis/health/auditor.ts'
import { createOwnershipCheck } from '../../record/ownership.ts'
import { auditRedis, describeFlaw, isAcknowledged } from '../../redis/health/examination.ts'
import { CommandError } from '../failure.ts'
import { forCommand } from '../open-app.ts'
import { print } from '../terminal.ts'

/**
 * Prints the settings in effect, and checks the servers. Rejects with a `CommandError` that has a line for each
 * mistake, and for each server that cannot be reached.
 */
export async function printConfigCheck (): Promise<void> {
  const env = readEnv()
  const { config, settings, mistakes } = checkConfig(env)
  if (config === undefined) throw new CommandError(mistakes)
  for (const line of describeSettings(settings, env)) print(line)
  print('')
  if (config.storage.kind === 'servers') await reachServers(forCommand(config), config.storage)
  else {
    print(
      `Embedded: the database is in ${resolve(config.storage.dataDir)} and was not opened; the blocklist is in the memory of the server.`
    )
  }
}

function describeSettings (settings: Settings, env: Record<string, string | undefined>): string[] {
  return Object.entries(Settings.properties as unknown as Record<string, TSchema & { secret?: true }>).map(
    ([name, schema]) => {
      const value = (settings as Record<string, unknown>)[name]
      const origin = env[name] === undefined || env[name] === '' ? '  (default)' : ''
      return value === undefined
        ? `${name} is not set`
        : `${name}=${schema.secret === true ? masked(name, value) : String(value)}${origin}`
    }
  )
}

/** Returns the address that a secret points to, or the length of any other secret. */
function masked (name: string, secret: unknown): string {
  if (Array.isArray(secret)) return describeMembers(secret)
  return name.endsWith('_URL') ? describeUrl(String(secret)) : `(secret, ${Buffer.byteLength(String(secret))} bytes)`
}

async function reachServers (config: Config, storage: Storage & { kind: 'servers' }): Promise<void> {
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
    return describePostgres(findings, storage.databaseUrl)
  }), redis])
  const failures: string[] = []
  for (const answer of asked) {
    if (answer.status === 'fulfilled') print(answer.value)
    else if (answer.reason instanceof CommandError) failures.push(...answer.reason.lines)
    else if (answer.reason instanceof StartupError) failures.push(answer.reason.message)
    else throw answer.reason
  }
  failures.push(
    ...clockFlaws(clocks.compare(), config.clocks.leewaySeconds).map(flaw => describeFlaw(flaw, storage.redis))
  )
  if (failures.length > 0) throw new CommandError(failures)
}

function describePostgres ({ pendingMigrations }: PostgresFindings, url: string): string {
  const tables =
    pendingMigrations === 0
      ? 'its tables are up to date'
      : `its tables are not up to date: the next start, or signout migrate, applies ${pendingMigrations} migration${pendingMigrations === 1 ? '' : 's'}`
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
    throw new StartupError(
      `${variableOf(topology)}: ${describeTopology(topology)} does not answer (${(cause as Error).message}).`,
      { cause }
    )
  } finally {
    redis.close()
  }
}
