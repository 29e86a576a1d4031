import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync } from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { servicesDir } from '../../scripts/services/state.ts'
import { buildApp, type LoggerOptions } from '../../src/app.ts'
import { loadConfig, type Config } from '../../src/config.ts'
import { openEmbedded } from '../../src/db/embedded/embedded.ts'
import { migrationsFolder } from '../../src/db/migrations-folder.ts'
import { redisUrl, scratchDatabase, scratchPrefix } from './services.ts'
import type { Owner } from './teardown.ts'

export type Env = Record<string, string>

export const issuer = 'https://auth.example.com'
export const secret = 'a secret for tests, of more than 32 bytes'

/** A folder that is removed when the test ends. */
export function scratchFolder (t: Owner): string {
  const folder = mkdtempSync(join(tmpdir(), 'signout-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Settings of the embedded mode, in a folder of its own, where its database is still to be made. */
export function freshEmbeddedEnv (t: Test): Env {
  return { ISSUER: issuer, DATA_DIR: scratchFolder(t) }
}

/**
 * Settings of the embedded mode, in a folder of its own that has a database, empty but for its tables. Making one takes
 * seconds, so one is made for all tests and copied.
 */
export async function embeddedEnv (t: Test): Promise<Env> {
  const env = freshEmbeddedEnv(t)
  await cp(await embeddedTemplate(), String(env['DATA_DIR']), { recursive: true })
  return env
}

async function embeddedTemplate (): Promise<string> {
  const migrations = createHash('sha256')
  for (const name of readdirSync(migrationsFolder).sort()) {
    if (name.endsWith('.sql')) migrations.update(readFileSync(join(migrationsFolder, name)))
  }
  const template = join(servicesDir, `embedded-${migrations.digest('hex').slice(0, 16)}`)
  if (existsSync(template)) return template
  // Renamed into place, since tests in other processes may be making the same one.
  mkdirSync(servicesDir, { recursive: true })
  const made = mkdtempSync(join(servicesDir, 'embedded-new-'))
  await (await openEmbedded(made)).close()
  try {
    renameSync(made, template)
  } catch {
    await rm(made, { recursive: true })
  }
  return template
}

/** Settings for the real Redis and Postgres, with a prefix and a database of their own. */
export async function serversEnv (t: Owner): Promise<Env> {
  return {
    ISSUER: issuer,
    KEY_ENCRYPTION_SECRET: secret,
    DATABASE_URL: await scratchDatabase(t),
    REDIS_URL: redisUrl(),
    BLOCKLIST_PREFIX: scratchPrefix(t)
  }
}

/** The app, ready, and closed when the test ends. */
export async function build (t: Test, env: Env, logger: LoggerOptions | false = false): Promise<FastifyInstance> {
  const app = buildUnready(t, loadConfig(env), logger)
  await app.ready()
  return app
}

export function buildUnready (t: Test, config: Config, logger: LoggerOptions | false = false): FastifyInstance {
  const app = buildApp(config, logger)
  // Teardowns run last first: the app closes before what it stands on is removed.
  t.teardown(() => app.close())
  return app
}

/**
 * For tests of servers that answer: a busy machine keeps Redis from answering within the 250 ms that are the default.
 */
export const patient: Env = { BLOCKLIST_DEADLINE_MS: '5000' }

/** Runs the same test on the embedded mode and on the real servers. */
export async function onEachStorage (
  t: Test,
  test: (t: Test, app: FastifyInstance, env: Env) => Promise<void>,
  settings: Env = {}
): Promise<void> {
  await t.test('embedded', async t => {
    const env = { ...await embeddedEnv(t), ...settings }
    await test(t, await build(t, env), env)
  })
  await t.test('Postgres and Redis', async t => {
    const env = { ...await serversEnv(t), ...patient, ...settings }
    await test(t, await build(t, env), env)
  })
}
