import { mkdtempSync } from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { buildApp, type LoggerOptions } from '../../src/app.ts'
import { loadConfig, type Config } from '../../src/config.ts'
import { databaseOfTest, redisUrl, scratchDatabase, scratchPrefix } from './services.ts'
import { quickHash } from './hasher.ts'
import type { Owner } from './teardown.ts'
import { copyPostgresTemplate, embeddedTemplate } from './templates.ts'

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

/**
 * Returns settings for the real Redis and Postgres, with a prefix and a database of their own. The database has its
 * tables already.
 */
export async function serversEnv (t: Owner): Promise<Env> {
  return {
    ISSUER: issuer,
    KEY_ENCRYPTION_SECRET: secret,
    DATABASE_URL: await databaseOfTest(t, copyPostgresTemplate),
    REDIS_URL: redisUrl(),
    BLOCKLIST_PREFIX: scratchPrefix(t)
  }
}

/** Returns the same settings with an empty database, as at the first start. */
export async function withoutTables (t: Owner, env: Env): Promise<Env> {
  return { ...env, DATABASE_URL: await scratchDatabase(t) }
}

/** Builds the app, waits until it is ready, and closes it when the test ends. */
export async function build (t: Test, env: Env, logger: LoggerOptions | false = false): Promise<FastifyInstance> {
  const app = buildUnready(t, loadConfig(env), logger)
  await app.ready()
  return app
}

export function buildUnready (t: Test, config: Config, logger: LoggerOptions | false = false): FastifyInstance {
  const app = buildApp(config, logger, { hashCost: quickHash })
  // Teardowns run in reverse order: the app closes before its servers and folders are removed.
  t.teardown(() => app.close())
  return app
}

/** For tests in which the servers answer. On a busy machine they may take longer than the default deadlines. */
export const patient: Env = { BLOCKLIST_DEADLINE_MS: '5000', DATABASE_DEADLINE_MS: '20000' }

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
