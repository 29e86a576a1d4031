import { buildApp } from '../app.ts'
import { loadConfig, type Config } from '../config.ts'
import { readEnv } from '../read-env.ts'

export type App = ReturnType<typeof buildApp>

/**
 * How long the blocklist may take to answer a command, at least, in milliseconds. The setting is for requests, of which many
 * wait; here one operator does, and a process that has just been started on a busy machine is not quick itself.
 */
const patienceMs = 2_000

export function patient (config: Config): Config {
  return { ...config, BLOCKLIST_DEADLINE_MS: Math.max(config.BLOCKLIST_DEADLINE_MS, patienceMs) }
}

/**
 * Opens everything that the service opens, as the environment has it, but does not listen; does the work, and closes.
 *
 * In the embedded mode that takes the lock on DATA_DIR, so it is refused while a server runs there.
 */
export async function withApp<T> (work: (app: App, config: Config) => Promise<T>): Promise<T> {
  const config = patient(loadConfig(readEnv()))
  const app = buildApp(config, false)
  try {
    await app.ready()
    return await work(app, config)
  } finally {
    await app.close()
  }
}
