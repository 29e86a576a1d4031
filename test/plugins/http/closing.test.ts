import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import closing, { type ClosingOptions } from '../../../plugins/http/closing.ts'
import readiness from '../../../plugins/readiness.ts'

/** Starts an app that closes with these options, and opens a connection to it. */
async function openConnection (
  t: Test, options: ClosingOptions
): Promise<{ app: FastifyInstance, socket: Socket }> {
  const app = Fastify({ return503OnClosing: false })
  app.register(readiness)
  app.register(closing, options)
  app.get('/', async () => 'answered')
  const port = Number(new URL(await app.listen({ port: 0, host: '127.0.0.1' })).port)
  const accepted = once(app.server, 'connection')
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => { /* It may be cut. */ })
  t.teardown(() => { socket.destroy() })
  await accepted
  return { app, socket }
}

t.test('a request over a connection that was opened just before the service closes is answered', async t => {
  const { app, socket } = await openConnection(t, { deadlineMs: 60_000, unusedMs: 60_000 })
  const closed = app.close()
  // Longer than the pause between two looks.
  await setTimeout(250)
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  const [answer] = await once(socket, 'data') as [Buffer]
  t.match(String(answer), /^HTTP\/1\.1 200 OK\r\n(.*\r\n)*connection: close\r\n/)
  await t.resolves(closed)
})

t.test('a service that closes does not wait for a connection over which no request comes', async t => {
  const { app, socket } = await openConnection(t, { deadlineMs: 60_000, unusedMs: 1 })
  const ended = once(socket, 'close')
  await t.resolves(app.close())
  await ended
})
