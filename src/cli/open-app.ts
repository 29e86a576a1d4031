import { buildApp, type AppOptions } from '../app.ts'
import type { Config } from '../config.ts'
import { OutageError, SignoutError } from '../errors.ts'
import { CommandError, unavailable } from './failure.ts'
import { readConfig } from './read-config.ts'

export type App = ReturnType<typeof buildApp>

/**
 * The shortest deadline of the blocklist for a command, in milliseconds. The setting is for requests, of which many
 * wait. Here one operator waits, and a new process on a busy machine is slow itself.
 */
const commandDeadlineMs = 2_000

/** Gives the blocklist the deadline of a command, which is longer than that of a request. */
export function forCommand (config: Config): Config {
  const deadlineMs = Math.max(config.blocklist.deadlineMs, commandDeadlineMs)
  return { ...config, blocklist: { ...config.blocklist, deadlineMs } }
}

type Work<T> = (app: App, config: Config) => Promise<T>

/**
 * Opens the app with the settings of the environment, but does not listen. Does the work, and closes the app. The work
 * ends nothing, so it needs no blocklist, and Redis may be down.
 *
 * In embedded mode this takes the lock on DATA_DIR, so it rejects while a server runs there.
 */
export async function withApp<T> (work: Work<T>): Promise<T> {
  return await withAppOf(forCommand(readConfig()), work, { isBlocklistDown: true })
}

async function withAppOf<T> (config: Config, work: Work<T>, options: AppOptions = {}): Promise<T> {
  const app = buildApp(config, false, { ...options, hasRoutes: false })
  try {
    await app.ready()
    return await work(app, config)
  } finally {
    await app.close()
  }
}

/**
 * Opens the app for work that ends sessions or revokes tokens, and closes it afterwards. While Redis is down, the work
 * is recorded in Postgres, and this rejects with a line that says so. The projector of a replica writes it to Redis.
 */
export async function withAppToEnd<T> (work: Work<T>): Promise<T> {
  const config = forCommand(readConfig())
  let outage: OutageError | undefined
  try {
    return await withAppOf(config, work).catch(async error => {
      if (!(error instanceof OutageError) || error.what !== 'blocklist') throw error
      outage = error
      return await withAppOf(config, work, { isBlocklistDown: true })
    })
  } catch (error) {
    if (!(error instanceof SignoutError) || error.code !== 'revocation_unavailable') throw error
    const why = outage?.message ?? `Redis has not confirmed it (${(error.cause as Error).message}).`
    throw new CommandError(
      `The revocation is recorded, and takes effect automatically when Redis returns. You can safely repeat the command. ${why}`,
      { exitCode: unavailable }
    )
  }
}
