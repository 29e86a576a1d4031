import { connect } from 'node:net'
import { Writable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import pretty from 'pino-pretty'
import t from 'tap'
import { loadConfig } from '../src/config.ts'
import { escapeText } from '../src/input/escape-text.ts'
import { buildUnready, serversEnv } from './support/app.ts'
import { keepLog } from './support/log.ts'
import { password } from './support/people.ts'
import { send } from './support/requests.ts'

/** Characters that a terminal may obey, or that may reorder or hide text: controls, formats, line separators. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/u
const hostile = '\u0007\u001b[2J\u007f\u009b1m\u00ad\u200b\u202e\u2028\u2066\ufeff\u{e0001}\ud800\nforged: a line'

t.test('control and format characters are escaped, and all other text is left alone', async t => {
  t.equal(escapeText('a\u009bb\u001b\n\u202e\u{e0001}\ud800c'), 'a\\u009bb\\u001b\\u000a\\u202e\\udb40\\udc01\\ud800c')
  for (const text of ['', 'Firefox/1 (X11; Linux)', 'Zoë Ωμέγα 名前 😀', '\\u009b']) t.equal(escapeText(text), text)
  t.notMatch(escapeText(hostile), unprintable)
})

/** Sends control characters in all places that a stranger can reach, and logs a text with them as a server would. */
async function sendControlCharacters (app: FastifyInstance): Promise<void> {
  app.after(() => {
    app.get('/fails', async () => {
      throw Object.assign(new Error(hostile), { code: hostile, cause: new Error(hostile) })
    })
  })
  const { port } = new URL(await app.listen({ port: 0, host: '127.0.0.1' }))
  await new Promise((resolve, reject) => {
    connect(Number(port), '127.0.0.1')
      .on('error', reject)
      .on('close', resolve)
      .resume()
      .write(
        Buffer.from(
          'GET /x HTTP/1.1\r\nHost: a\x9b2Jb\r\nX-Forwarded-For: \x9b0m\x85\r\nX-Forwarded-Host: \x9b3Jc\r\nConnection: close\r\n\r\n',
          'latin1'
        )
      )
  })
  await send(app, 'GET /fails', { headers: { host: hostile } })
  await send(app, 'POST /login', {
    headers: { 'x-forwarded-for': hostile, 'user-agent': hostile }, body: { username: hostile, password }
  })
  app.log.warn({ [hostile]: [hostile, { deep: hostile }], number: 1.5, nothing: null }, hostile)
}

t.test('no control character from a stranger reaches the log', async t => {
  const config = loadConfig({ ...await serversEnv(t), TRUST_PROXY: '127.0.0.1' })
  const log = keepLog()
  await t.test('a JSON log escapes control characters, and stays valid JSON', async t => {
    await sendControlCharacters(buildUnready(t, config, log.logger))
    for (const line of log.text().split('\n')) t.notMatch(line, unprintable)
    const lines = log.lines()
    t.ok(lines.some(({ address }) => String(address).includes('\\u009b1m')), 'it is escaped, not dropped')
    for (const text of JSON.stringify(lines).match(/(?<!\\)(\\\\)*\\[bfnrtu]/g) ?? []) {
      t.match(text, /n$/, 'only the lines of a stack are kept apart')
    }
    t.match(lines.at(-1), {
      number: 1.5,
      nothing: null,
      msg: escapeText(hostile),
      [escapeText(hostile)]: [escapeText(hostile), { deep: escapeText(hostile) }]
    })
  })

  await t.test('a log in a terminal escapes control characters, and has no forged line', async t => {
    let output = ''
    const destination = new Writable({ write (chunk, _encoding, done) { output += String(chunk); done() } })
    await sendControlCharacters(
      buildUnready(t, config, { level: 'trace', stream: pretty({ destination, sync: true, colorize: false }) })
    )
    t.ok(output.includes('\\u009b1m'), 'it is escaped, not dropped')
    for (const line of output.split('\n')) t.notMatch(line, unprintable)
    t.notMatch(output, /^forged/m)
  })
})
