import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { buildApp, type LoggerOptions } from '../../src/app.ts'
import { loadConfig, type Config } from '../../src/config.ts'
import { watchAnswers } from './contract.ts'
import { isQuick } from './form.ts'
import { databaseOfTest, redisUrl, scratchDatabase, scratchPrefix } from './services.ts'
import { quickHash } from './hasher.ts'
import type { Owner } from './teardown.ts'
import { copyFolder, copyPostgresTemplate, embeddedTemplate } from './templates.ts'

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
  copyFolder(await embeddedTemplate(), String(env['DATA_DIR']))
  return env
}

/** On a busy machine the servers may take longer than the default deadlines. */
export const patient: Env = { BLOCKLIST_DEADLINE_MS: '5000', DATABASE_DEADLINE_MS: '20000' }

/**
 * Returns settings for the real Redis and Postgres, with a prefix and a database of their own, and with long deadlines.
 * The database has its tables already.
 */
export async function serversEnv (t: Owner): Promise<Env> {
  return { ...await promptServersEnv(t), ...patient }
}

/** Returns the settings of {@link serversEnv} with the default deadlines, for tests in which a server fails. */
export async function promptServersEnv (t: Owner): Promise<Env> {
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
  watchAnswers(t, app)
  // Teardowns run in reverse order: the app closes before its servers and folders are removed.
  t.teardown(() => app.close())
  return app
}

type Storage = [name: string, env: () => Promise<Env>]
type StorageTest = (t: Test, app: FastifyInstance, env: Env) => Promise<void>

/** Runs the same test on the embedded mode and on the real servers, and in `npm run test:quick` on the latter alone. */
export async function onEachStorage (t: Test, test: StorageTest, settings: Env = {}): Promise<void> {
  if (!isQuick) {
    await t.test('embedded', async t => {
      const env = { ...await embeddedEnv(t), ...settings }
      await test(t, await build(t, env), env)
    })
  }
  await t.test('Postgres and Redis', async t => {
    const env = { ...await serversEnv(t), ...settings }
    await test(t, await build(t, env), env)
  })
}

/** Returns a function that runs tests with one app on the real servers, for what does not depend on the storage. */
export function shareServers (owner: Test): (t: Test, test: StorageTest) => Promise<void> {
  let built: Promise<{ app: FastifyInstance, env: Env }> | undefined
  return async (t, test) => {
    built ??= serversEnv(owner).then(async env => ({ app: await build(owner, env), env }))
    const { app, env } = await built
    await test(t, app, env)
  }
}

/**
 * Returns a function that runs a test as {@link onEachStorage} does, and gives all tests the same two apps. To build
 * both for each test takes more than a second of processor time. Such tests must use users of their own, and undo what
 * they do to the apps.
 *
 * @param owner the test at whose end the apps are closed; `t` of the file for all its tests
 */
export function shareStorages (
  owner: Test, settings: Env = {}
): (t: Test, test: StorageTest) => Promise<void> {
  const servers: Storage = ['Postgres and Redis', () => serversEnv(owner)]
  const storages = isQuick ? [servers] : [['embedded', () => embeddedEnv(owner)] satisfies Storage, servers]
  const built = new Map<string, { app: FastifyInstance, env: Env }>()
  return async (t, test) => {
    for (const [name, makeEnv] of storages) {
      await t.test(name, async t => {
        const { app, env } = built.get(name) ?? await buildShared(name, makeEnv)
        await test(t, app, env)
      })
    }
  }

  async function buildShared (name: string, makeEnv: () => Promise<Env>) {
    const env = { ...await makeEnv(), ...settings }
    const shared = { app: await build(owner, env), env }
    built.set(name, shared)
    return shared
  }
}
