import closeWithGrace from 'close-with-grace'
import pretty from 'pino-pretty'
import { buildApp, type LoggerOptions } from './app.ts'
import { loadConfig, type Config } from './config.ts'
import { StartupError } from './errors.ts'
import { explainListenError } from './listen-error.ts'
import { version } from './package-root.ts'
import { readEnv } from './read-env.ts'
import { describeTopology } from './redis/topology.ts'

type App = ReturnType<typeof buildApp>

/** When the process ends after SIGTERM, whatever is still under way: later than the app gives up waiting for it. */
const graceMs = 10_000

/** Faults of the process itself. A handler in JavaScript would return to the instruction at fault, for ever. */
const crashes = ['SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV'] as const

/**
 * Runs the service until it is told to stop: environment → config → listen → close with grace. Resolves once it listens.
 *
 * Ends the process with 1 and one line when the service cannot start as it is set up.
 */
export async function serve (): Promise<void> {
  let isClosing = false
  try {
    const config = loadConfig(readEnv())
    const app = buildApp(config, logger(config))
    closeWithGrace({ delay: graceMs, logger: app.log, skip: [...crashes] }, async ({ err }) => {
      isClosing = true
      if (err) app.log.fatal({ err }, 'The service stops because of a defect.')
      await app.close()
    })
    await start(app, config, () => isClosing)
  } catch (error) {
    if (!(error instanceof StartupError)) throw error
    process.stderr.write(`signout cannot start: ${error.message}\n`)
    process.exit(1)
  }
}

/** Pretty for people, JSON for everything else. */
function logger ({ LOG_LEVEL: level }: Config): LoggerOptions {
  if (!process.stdout.isTTY) return { level }
  // A terminal shows few lines, to few people: they need no thread of their own.
  return { level, stream: pretty({ translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname' }) }
}

async function start (app: App, config: Config, isClosing: () => boolean): Promise<void> {
  try {
    await app.ready()
    app.log.info(`signout ${version}`)
    app.log.info(`Database: ${app.database.description}`)
    app.log.info(`Blocklist: ${config.storage.kind === 'servers' ? `Redis at ${describeTopology(config.storage.redis)}` : 'in the memory of this process'}`)
    if (isClosing()) return
    await app.listenForScrapes()
    const address = await app.listen({ host: config.HOST, port: config.PORT, listenTextResolver: address => `Listening: ${address}` })
    app.log.info(`Documentation: ${address}/docs`)
  } catch (error) {
    await app.close()
    throw explainListenError(error, { host: config.HOST, port: config.PORT, portSetting: 'PORT' })
  }
}
