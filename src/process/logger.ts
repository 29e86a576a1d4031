import { pino } from 'pino'
import type { LoggerOptions } from '../app.ts'
import type { Config } from '../config.ts'
import { escapeLogLine, escapeText } from '../input/escape-text.ts'

/** Lines are written together, once they have so many bytes: to write each of them would double the cost of the log. */
const minBytes = 8_192
/** The longest time that a line waits for others, in milliseconds. A killed process loses the lines that wait. */
const maxWaitMs = 100
/** The most that waits for a reader that has stalled, in bytes. */
const maxBytes = 16 * 2 ** 20

/** Returns the settings of the log of the service: short lines on a terminal, otherwise JSON. */
export async function loggerOptions ({ log: { level } }: Pick<Config, 'log'>): Promise<LoggerOptions> {
  return { level, stream: process.stdout.isTTY ? await createTerminalStream() : createLogStream() }
}

/**
 * Creates the stream of the log in JSON, which the end of the process flushes. If its reader stalls, lines are lost
 * rather than memory, and a line tells how many once it reads again.
 *
 * @param fd the file descriptor; the standard output unless a test names another
 */
export function createLogStream (fd = 1, limitBytes = maxBytes) {
  const stream = pino.destination({
    fd, sync: false, minLength: minBytes, periodicFlush: maxWaitMs, maxLength: limitBytes
  })
  let lost = 0
  stream.on('drop', () => { lost++ })
  stream.on('drain', () => {
    if (lost === 0) return
    const lines = lost
    lost = 0
    pino(stream).warn({ lines }, 'Lines of the log were lost, because its reader stalled.')
  })
  return stream
}

async function createTerminalStream () {
  // A terminal shows few lines, so they need no thread of their own. Each request, and each event, is one line.
  const { default: pretty } = await import('pino-pretty')
  return pretty({
    translateTime: 'HH:MM:ss.l',
    ignore: 'pid,hostname,request_id,method,path,status,duration_ms,ip',
    singleLine: true,
    sync: true,
    messageFormat: ({ method, path, status, duration_ms: ms, ...line }, messageKey) =>
      status === undefined ? String(line[messageKey]) : `${method} ${path} ${status} ${ms} ms`
  })
}

/** Prints a sentence about the start: on a terminal as it is, otherwise as a line of the log. */
export function print (level: 'warn' | 'fatal', sentence: string): void {
  if (process.stdout.isTTY) process.stderr.write(`${escapeText(sentence)}\n`)
  else pino({ hooks: { streamWrite: escapeLogLine } }, pino.destination({ fd: 2, sync: true }))[level](sentence)
}
