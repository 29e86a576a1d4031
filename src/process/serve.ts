import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import { buildApp, buildWaitingApp, type LoggerOptions } from '../app.ts'
import { loadConfig, type Config } from '../config.ts'
import { describeUrl } from '../input/describe-url.ts'
import { OutageError, SignoutError, StartupError, explainListenError } from '../errors.ts'
import { version } from '../package-root.ts'
import { readEnv } from '../input/read-env.ts'
import { describeTopology } from '../redis/topology.ts'
import { describeUnknownVariable, findUnknownVariables } from '../settings/unknown-variables.ts'
import { loggerOptions, print } from './logger.ts'
import { stopOnSignals } from './stop-on-signals.ts'

type App = ReturnType<typeof buildApp>

/** The longest time from SIGTERM to the end of the process. It is longer than the app waits for requests under way. */
const graceMs = 10_000
/** The pause before a server that is down is tried again. */
const retryMs = 1_000

/** Signals of a fault in the process itself. A handler in JavaScript would return to the faulty instruction forever. */
const crashes = ['SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV'] as const

/**
 * Runs the service until SIGTERM or Ctrl-C. Resolves once it listens.
 *
 * While Postgres or Redis is down, it answers 503, and becomes the service automatically. If the service cannot start,
 * it prints one line and ends the process with 1.
 */
export async function serve (): Promise<void> {
  try {
    const { config, warnings } = readConfig()
    const server = createSignout(config, await loggerOptions(config))
    for (const warning of warnings) server.log.warn(warning)
    const { close } = closeWithGrace({
      delay: graceMs, logger: server.log, skip: [...crashes, 'SIGTERM', 'SIGINT']
    }, async ({ err }) => {
      if (err) server.log.fatal({ err }, 'The service stops because of a defect.')
      await server.close()
      server.log.info('Stopped.')
    })
    stopOnSignals({ drain: server.drain, close })
    await refuseTakenPorts(config)
    await server.start()
  } catch (error) {
    if (!(error instanceof StartupError)) throw error
    print('fatal', `signout cannot start: ${error.message}`)
    process.exit(1)
  }
}

/** Reads the settings, and finds misspelled ones. If the start fails here, it prints those: they may be the cause. */
function readConfig (): { config: Config, warnings: string[] } {
  const env = readEnv()
  const warnings = findUnknownVariables(env).map(describeUnknownVariable)
  try {
    return { config: loadConfig(env), warnings }
  } catch (error) {
    for (const warning of warnings) print('warn', warning)
    throw error
  }
}

/** Rejects if a port is taken, before the database is opened. Another process may still take it meanwhile. */
async function refuseTakenPorts ({ http: { host, port }, metrics }: Config): Promise<void> {
  const ports = { PORT: port, METRICS_PORT: metrics.port }
  for (const portSetting of ['PORT', 'METRICS_PORT'] as const) {
    const port = ports[portSetting]
    if (port === undefined) continue
    const probe = createServer()
    try {
      await once(probe.listen({ host, port }), 'listening')
    } catch (error) {
      throw explainListenError(error, { host, port, portSetting })
    }
    probe.close()
  }
}

/** Creates the server on the port: the service, or its stand-in while Postgres or Redis is down. */
function createSignout (config: Config, loggerOptions: LoggerOptions) {
  let app = buildApp(config, loggerOptions)
  let standIn: App | undefined
  let isServing = false
  let isClosing = false

  async function start (): Promise<void> {
    for (let outage = await open(app, config); outage !== undefined; outage = await open(app, config)) {
      standIn ??= await standInFor(app, outage, config)
      await setTimeout(retryMs)
      if (isClosing) return
      app = buildApp(config, loggerOptions)
    }
    // The port of the stand-in is used again, because the system may have chosen it.
    const port = standIn === undefined || isClosing ? config.http.port : (standIn.server.address() as AddressInfo).port
    await standIn?.close()
    if (isClosing) return
    await listen(app, { ...config, http: { ...config.http, port } })
    isServing = true
  }

  /** Makes load balancers leave this replica alone. Returns for how many milliseconds it goes on serving. */
  function drain (): number {
    const seconds = isServing ? config.http.shutdownDelaySeconds : 0
    if (seconds === 0) return 0
    app.log.info({ seconds }, 'Draining: requests are served, and /health/ready answers 503.')
    app.drain()
    return seconds * 1000
  }

  async function close (): Promise<void> {
    isClosing = true
    await Promise.all([standIn?.close(), app.close()])
  }

  return { log: app.log, start, drain, close }
}

/** Opens everything that the service needs. Returns the outage, if a server that it needs is down. */
async function open (app: App, config: Config): Promise<OutageError | undefined> {
  try {
    await app.ready()
    return undefined
  } catch (error) {
    await app.close()
    const outage = toOutage(error, config)
    if (outage === undefined) throw error
    return outage
  }
}

function toOutage (error: unknown, { storage }: Config): OutageError | undefined {
  if (error instanceof OutageError) return error
  if (!(error instanceof SignoutError) || error.code !== 'service_unavailable' || storage.kind === 'embedded') {
    return undefined
  }
  // Postgres answered when the tables were checked, and has stopped since.
  return new OutageError(
    'database',
    `DATABASE_URL: ${describeUrl(storage.databaseUrl)} does not answer any more (${(error.cause as Error).message}). Start Postgres there.`,
    { cause: error }
  )
}

/** Listens with the stand-in, and prints why. */
async function standInFor (app: App, outage: OutageError, config: Config): Promise<App> {
  const standIn = buildWaitingApp(config, app.log, outage)
  await listenOn(standIn, config, 'Answering 503')
  print(
    'warn',
    `signout cannot start yet: ${outage.message} It is tried again every second, and requests get 503 until then.`
  )
  return standIn
}

async function listen (app: App, config: Config): Promise<void> {
  app.log.info(`signout ${version}`)
  app.log.info(`Database: ${app.database.description}`)
  app.log.info(
    `Blocklist: ${config.storage.kind === 'servers' ? `Redis at ${describeTopology(config.storage.redis)}` : 'in the memory of this process'}`
  )
  try {
    await app.listenForScrapes()
    const address = await listenOn(app, config, 'Listening')
    if (config.http.hasDocs) app.log.info(`Documentation: ${address}/docs`)
  } catch (error) {
    await app.close()
    throw error
  }
}

async function listenOn (app: App, { http: { host, port } }: Config, what: string): Promise<string> {
  try {
    return await app.listen({ host, port, listenTextResolver: address => `${what}: ${address}` })
  } catch (error) {
    throw explainListenError(error, { host, port, portSetting: 'PORT' })
  }
}
