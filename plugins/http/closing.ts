import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Prepares for the end: the service is not ready any more, and asks clients to close their connections. */
    drain (): void
  }
}

export interface ClosingOptions {
  /** The longest time for requests under way to finish, in milliseconds. Then their connections are cut. */
  deadlineMs: number
  /** How long a connection is kept over which no request has come yet, in milliseconds. Defaults to 1,000. */
  unusedMs?: number
}

const lookAgainMs = 100

/**
 * Lets the service close soon after its last request is answered. Node waits for connections, which a client may keep
 * open for long: idle ones of a pool, or some that it opened in advance. A proxy may have opened one a moment ago, and
 * repeats no login if it is cut.
 */
async function closing (app: FastifyInstance, { deadlineMs, unusedMs = 1_000 }: ClosingOptions): Promise<void> {
  let isDraining = false
  let underWay = 0
  /** Connections over which no request has come yet. */
  const unused = new Set<Socket>()

  app.decorate('drain', () => {
    isDraining = true
    app.readiness.add('shutdown', async () => { throw new Error('The service shuts down.') })
  })
  app.server.on('connection', (socket: Socket) => {
    unused.add(socket)
    socket.once('close', () => { unused.delete(socket) })
  })
  app.server.on('request', ({ socket }, response) => {
    unused.delete(socket)
    underWay++
    response.once('close', () => { underWay-- })
  })
  // Says that the connection ends after this answer, so that the client sends no further request over it.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isDraining) reply.header('connection', 'close')
    done(null, payload)
  })
  app.addHook('preClose', async () => {
    isDraining = true
    const closeIdle = app.server.closeIdleConnections.bind(app.server)
    // Node calls this when the server closes. To Node 26, a connection without a request is idle too.
    app.server.closeIdleConnections = () => { if (unused.size === 0) closeIdle() }
    const beganAt = performance.now()
    const look = () => {
      const elapsedMs = performance.now() - beganAt
      if (elapsedMs > (underWay === 0 ? unusedMs : deadlineMs)) app.server.closeAllConnections()
      else app.server.closeIdleConnections()
    }
    // After requests that have arrived are read.
    const timer = setInterval(() => { setImmediate(look) }, lookAgainMs)
    app.server.once('close', () => { clearInterval(timer) })
    timer.unref()
    // After connections that wait are accepted: the system resets them when the server closes.
    await new Promise(resolve => { setImmediate(resolve) })
  })
}

export default fp(closing, { name: 'closing', fastify: '5.x', dependencies: ['readiness'] })
