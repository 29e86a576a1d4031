import { execFileSync } from 'node:child_process'
import { createReadStream, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pino } from 'pino'
import t from 'tap'
import { createLogStream, print } from '../../src/process/logger.ts'
import { scratchFolder } from '../support/app.ts'

t.test('a reader that stalls costs lines and not memory, and a line tells how many', async t => {
  const fifo = join(scratchFolder(t), 'log')
  execFileSync('mkfifo', [fifo])
  const log = pino({}, createLogStream(openSync(fifo, 'r+'), 100_000))
  const written = 5_000
  for (let number = 1; number <= written; number++) log.info({ number }, 'A line')

  const lines: Array<{ number?: number, lines?: number, msg: string }> = []
  const input = createReadStream(fifo)
  for await (const line of createInterface({ input })) {
    lines.push(JSON.parse(line))
    if (lines.at(-1)?.lines !== undefined) break
  }
  // A read that waits for a line would keep the process.
  input.destroy()
  log.info('The end')
  const lost = lines.at(-1)?.lines ?? 0
  t.match(lines.at(-1), { level: 40, msg: 'Lines of the log were lost, because its reader stalled.' })
  t.ok(lost > 1_000, `${lost} were lost`)
  t.equal(lines.length - 1 + lost, written, 'each line was written whole, or counted')
})

t.test('the reason why a start fails comes after the lines of the log', t => {
  const file = join(scratchFolder(t), 'log')
  const fd = openSync(file, 'a')
  const log = pino({}, createLogStream(fd))
  log.warn('A setting is misspelled.')
  print('fatal', 'The service cannot start.', fd)
  log.info('The end')
  t.match(readFileSync(file, 'utf8').trimEnd().split('\n').map(line => JSON.parse(line)), [
    { level: 40, msg: 'A setting is misspelled.' }, { level: 60, msg: 'The service cannot start.' }
  ])
  t.end()
})
