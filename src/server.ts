import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import pretty from 'pino-pretty'
import { buildApp, type LoggerOptions } from './app.ts'
import { loadConfig, type Config } from './config.ts'
import { describeUrl } from './describe-url.ts'
import { StartupError } from './errors.ts'
import { version } from './package-root.ts'
import { readEnv } from './read-env.ts'

/** When the process ends after SIGTERM, whatever is still under way: later than the app gives up waiting for it. */
const graceMs = 10_000

/** Faults of the process itself. A handler in JavaScript would return to the instruction at fault, for ever. */
const crashes = ['SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV'] as const

let isClosing = false

try {
  const config = loadConfig(readEnv())
  const app = buildApp(config, logger(config))
  closeWithGrace({ delay: graceMs, logger: app.log, skip: [...crashes] }, async ({ err }) => {
    isClosing = true
    if (err) app.log.fatal({ err }, 'The service stops because of a defect.')
    await app.close()
  })
  await start(app, config)
} catch (error) {
  if (!(error instanceof StartupError)) throw error
  process.stderr.write(`signout cannot start: ${error.message}\n`)
  process.exit(1)
}

/** Pretty for people, JSON for everything else. */
function logger ({ LOG_LEVEL: level }: Config): LoggerOptions {
  if (!process.stdout.isTTY) return { level }
  // A terminal shows few lines, to few people: they need no thread of their own.
  return { level, stream: pretty({ translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname' }) }
}

async function start (app: FastifyInstance, config: Config): Promise<void> {
  try {
    await app.ready()
    app.log.info(`signout ${version}`)
    app.log.info(`Database: ${app.database.description}`)
    app.log.info(`Blocklist: ${config.storage.kind === 'servers' ? `Redis at ${describeUrl(config.storage.redisUrl)}` : 'in the memory of this process'}`)
    if (isClosing) return
    const address = await app.listen({ host: config.HOST, port: config.PORT, listenTextResolver: address => `Listening: ${address}` })
    app.log.info(`Documentation: ${address}/docs`)
  } catch (error) {
    await app.close()
    throw explainListenError(error, config)
  }
}

function explainListenError (error: unknown, { HOST, PORT }: Config): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE': return new StartupError(`PORT ${PORT} on ${HOST} is in use: stop what listens there, or choose another port.`)
    case 'EACCES': return new StartupError(`PORT ${PORT} on ${HOST} may not be opened by this user: choose a port from 1024.`)
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND': return new StartupError(`HOST ${HOST} is not an address of this machine.`)
    default: return error
  }
}
