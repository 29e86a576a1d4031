import { pino } from 'pino'
import type { LoggerOptions } from '../app.ts'
import type { Config } from '../config.ts'
import { escapeLogLine, escapeText } from '../input/escape-text.ts'

/** Lines are written together, once they have so many characters: written one by one, they would cost twice as much. */
const enoughLength = 65_536
/** The longest time that a line waits for others, in milliseconds. A killed process loses the lines that wait. */
const maxWaitMs = 100
/** The most that waits for a reader that has stalled, in bytes. */
const maxBytes = 16 * 2 ** 20

/** The streams of this process whose lines may wait. */
const streams = new Set<{ flushSync (): void }>()

/** Returns the settings of the log of the service: short lines on a terminal, otherwise JSON. */
export async function loggerOptions ({ log: { level } }: Pick<Config, 'log'>): Promise<LoggerOptions> {
  return { level, stream: process.stdout.isTTY ? await createTerminalStream() : createLogStream() }
}

/**
 * Creates the stream of the log in JSON. What waits is written when the process ends. If the reader of the log stalls,
 * lines are lost rather than memory, and a line tells how many once it reads again.
 *
 * The lines are collected here, and not by the library, which would measure all of them again for each new one.
 *
 * @param fd the file descriptor; the standard output unless a test names another
 */
export function createLogStream (fd = 1, limitBytes = maxBytes) {
  const destination = pino.destination({ fd, sync: false, maxLength: limitBytes })
  let waiting = ''
  let timer: NodeJS.Timeout | undefined
  let lost = 0

  function take (): string {
    clearTimeout(timer)
    timer = undefined
    const lines = waiting
    waiting = ''
    return lines
  }

  const stream = {
    write (line: string): void {
      waiting += line
      if (waiting.length >= enoughLength) destination.write(take())
      else timer ??= setTimeout(() => { destination.write(take()) }, maxWaitMs).unref()
    },
    flushSync (): void {
      destination.flushSync()
      if (waiting !== '') pino.destination({ fd, sync: true }).write(take())
    }
  }
  destination.on('drop', (lines: string) => { lost += lines.split('\n').length - 1 })
  destination.on('drain', () => {
    if (lost === 0) return
    const lines = lost
    lost = 0
    pino({}, stream).warn({ lines }, 'Lines of the log were lost, because its reader stalled.')
  })
  process.on('exit', stream.flushSync)
  streams.add(stream)
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

/**
 * Prints a sentence about the start, after the lines of the log that wait: on a terminal as it is, otherwise as a line
 * of the log.
 *
 * @param fd the file descriptor; the standard error output unless a test names another
 */
export function print (level: 'warn' | 'fatal', sentence: string, fd = 2): void {
  for (const stream of streams) stream.flushSync()
  if (process.stdout.isTTY) process.stderr.write(`${escapeText(sentence)}\n`)
  else pino({ hooks: { streamWrite: escapeLogLine } }, pino.destination({ fd, sync: true }))[level](sentence)
}
