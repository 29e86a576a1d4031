import { buildApp, type AppOptions } from '../app.ts'
import { loadConfig, type Config } from '../config.ts'
import { OutageError, SignoutError } from '../errors.ts'
import { readEnv } from '../input/read-env.ts'
import { CommandError } from './failure.ts'

export type App = ReturnType<typeof buildApp>

/**
 * How long the blocklist may take to answer a command, at least, in milliseconds. The setting is for requests, of which
 * many wait; here one operator does, and a process that has just been started on a busy machine is not quick itself.
 */
const commandDeadlineMs = 2_000

/** Gives the blocklist the deadline of a command, which is longer than that of a request. */
export function forCommand (config: Config): Config {
  const deadlineMs = Math.max(config.blocklist.deadlineMs, commandDeadlineMs)
  return { ...config, blocklist: { ...config.blocklist, deadlineMs } }
}

type Work<T> = (app: App, config: Config) => Promise<T>

/**
 * Opens everything that the service opens, as the environment has it, but does not listen; does the work, and closes.
 *
 * In the embedded mode that takes the lock on DATA_DIR, so it is refused while a server runs there.
 */
export async function withApp<T> (work: Work<T>, options: AppOptions = {}): Promise<T> {
  const config = forCommand(loadConfig(readEnv()))
  const app = buildApp(config, false, options)
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
export async function withAppToEnd<T> (work: Work<T>, outage?: OutageError): Promise<T> {
  try {
    return await withApp(work, { isBlocklistDown: outage !== undefined })
  } catch (error) {
    if (error instanceof OutageError && error.what === 'blocklist') return await withAppToEnd(work, error)
    if (!(error instanceof SignoutError) || error.code !== 'revocation_unavailable') throw error
    const why = outage?.message ?? `Redis has not confirmed it (${(error.cause as Error).message}).`
    throw new CommandError(
      `It is on record, and takes effect by itself as soon as Redis is back; to repeat the command is safe. ${why}`
    )
  }
}
