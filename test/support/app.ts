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

/** Creates a folder that is removed when the test ends. */
export function scratchFolder (t: Owner): string {
  const folder = mkdtempSync(join(tmpdir(), 'signout-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Returns settings of the embedded mode, with a folder of its own that has no database yet. */
export function freshEmbeddedEnv (t: Test): Env {
  return { ISSUER: issuer, DATA_DIR: scratchFolder(t) }
}

/**
 * Returns settings of the embedded mode, with a folder of its own that has an empty database. Creating one takes
 * seconds, so it is a copy of a template that all tests share.
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
  // Renamed into place, since tests in other processes may be creating the same template.
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

/** Returns settings for the real Redis and Postgres, with a prefix and a database of their own. */
export async function serversEnv (t: Owner): Promise<Env> {
  return {
    ISSUER: issuer,
    KEY_ENCRYPTION_SECRET: secret,
    DATABASE_URL: await scratchDatabase(t),
    REDIS_URL: redisUrl(),
    BLOCKLIST_PREFIX: scratchPrefix(t)
  }
}

/** Builds the app, waits until it is ready, and closes it when the test ends. */
export async function build (t: Test, env: Env, logger: LoggerOptions | false = false): Promise<FastifyInstance> {
  const app = buildUnready(t, loadConfig(env), logger)
  await app.ready()
  return app
}

export function buildUnready (t: Test, config: Config, logger: LoggerOptions | false = false): FastifyInstance {
  const app = buildApp(config, logger)
  // Teardowns run in reverse order: the app closes before its servers and folders are removed.
  t.teardown(() => app.close())
  return app
}

/** For tests in which the servers answer. On a busy machine Redis may take longer than the default of 250 ms. */
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
