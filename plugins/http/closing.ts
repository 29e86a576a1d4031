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
}

const lookAgainMs = 100

/**
 * Lets the service close as soon as its last request is answered. Node waits for connections, which a client may keep
 * open for long: idle ones of a pool, or some that it opened in advance.
 */
async function closing (app: FastifyInstance, { deadlineMs }: ClosingOptions): Promise<void> {
  let isDraining = false
  let underWay = 0

  app.decorate('drain', () => {
    isDraining = true
    app.readiness.add('shutdown', async () => { throw new Error('The service shuts down.') })
  })
  app.server.on('request', (_request, response) => {
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
    const giveUpAt = performance.now() + deadlineMs
    const timer = setInterval(() => {
      if (underWay === 0 || performance.now() > giveUpAt) app.server.closeAllConnections()
    }, lookAgainMs)
    app.server.once('close', () => { clearInterval(timer) })
    timer.unref()
  })
}

export default fp(closing, { name: 'closing', fastify: '5.x', dependencies: ['readiness'] })
