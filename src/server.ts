import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import pretty from 'pino-pretty'
import { buildApp, buildWaitingApp, type LoggerOptions } from './app.ts'
import { loadConfig, type Config } from './config.ts'
import { describeUrl } from './input/describe-url.ts'
import { OutageError, SignoutError, StartupError, explainListenError } from './errors.ts'
import { escapeText } from './input/escape-text.ts'
import { version } from './package-root.ts'
import { readEnv } from './input/read-env.ts'
import { describeTopology } from './redis/topology.ts'

type App = ReturnType<typeof buildApp>

/** When the process ends after SIGTERM, whatever is still under way: later than the app gives up waiting for it. */
const graceMs = 10_000
/** How long a database that is down is left alone until it is tried again. */
const retryMs = 1_000

/** Faults of the process itself. A handler in JavaScript would return to the instruction at fault, for ever. */
const crashes = ['SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV'] as const

/**
 * Runs the service until it is told to stop: environment → config → listen → close with grace. Resolves once it
 * listens.
 *
 * While its database is down it answers 503, and becomes the service automatically. Ends the process with 1 and one
 * line when the service cannot start as it is set up.
 */
async function serve (): Promise<void> {
  try {
    const config = loadConfig(readEnv())
    const server = createServer(config)
    closeWithGrace({ delay: graceMs, logger: server.log, skip: [...crashes] }, async ({ err }) => {
      if (err) server.log.fatal({ err }, 'The service stops because of a defect.')
      await server.close()
    })
    await server.start()
  } catch (error) {
    if (!(error instanceof StartupError)) throw error
    process.stderr.write(`signout cannot start: ${escapeText(error.message)}\n`)
    process.exit(1)
  }
}

/** What listens on the port: the service, or what stands in for it. */
function createServer (config: Config) {
  const loggerOptions = logger(config)
  let app = buildApp(config, loggerOptions)
  let standIn: App | undefined
  let isClosing = false

  async function start (): Promise<void> {
    for (let outage = await open(app, config); outage !== undefined; outage = await open(app, config)) {
      standIn ??= await standInFor(app, outage, config)
      await setTimeout(retryMs)
      if (isClosing) return
      app = buildApp(config, loggerOptions)
    }
    // The port of what stood in, which the system may have chosen, is passed on.
    const port = standIn === undefined || isClosing ? config.http.port : (standIn.server.address() as AddressInfo).port
    await standIn?.close()
    if (isClosing) return
    await listen(app, { ...config, http: { ...config.http, port } })
  }

  async function close (): Promise<void> {
    isClosing = true
    await Promise.all([standIn?.close(), app.close()])
  }

  return { log: app.log, start, close }
}

/** Pretty for people, JSON for everything else. */
function logger ({ log: { level } }: Config): LoggerOptions {
  if (!process.stdout.isTTY) return { level }
  // A terminal shows few lines, to few people: they need no thread of their own.
  return { level, stream: pretty({ translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname' }) }
}

/** Opens everything that the service needs. Returns the outage, if a server that it needs is down. */
async function open (app: App, config: Config): Promise<OutageError | undefined> {
  try {
    await app.ready()
    return undefined
  } catch (error) {
    await app.close()
    const outage = toOutage(error, config)
    if (outage?.what !== 'database') throw error
    return outage
  }
}

function toOutage (error: unknown, { storage }: Config): OutageError | undefined {
  if (error instanceof OutageError) return error
  if (!(error instanceof SignoutError) || error.code !== 'service_unavailable' || storage.kind === 'embedded') {
    return undefined
  }
  // It was there when the tables were looked at, and then it was not.
  return new OutageError(
    'database',
    `DATABASE_URL: ${describeUrl(storage.databaseUrl)} does not answer any more (${(error.cause as Error).message}). Start Postgres there.`,
    { cause: error }
  )
}

/** Listens in place of the service, and says why. */
async function standInFor (app: App, outage: OutageError, config: Config): Promise<App> {
  const standIn = buildWaitingApp(app.log, outage)
  await listenOn(standIn, config, 'Answering 503')
  process.stderr.write(
    `signout cannot start yet: ${escapeText(outage.message)} It is tried again every second, and requests get 503 until then.\n`
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
    app.log.info(`Documentation: ${address}/docs`)
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

/** What `npm start`, the image and `signout serve` run. */
await serve()
