import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

export interface ClosingOptions {
  /** How long requests that are under way may take to finish, in milliseconds. Then their connections are cut. */
  deadlineMs: number
}

const lookAgainMs = 100

/**
 * Lets the service close as soon as its last request is answered. Node waits for connections, and a client may keep one
 * open for long: an idle one of a pool, or one that was made in advance and has not asked for anything yet.
 */
async function closing (app: FastifyInstance, { deadlineMs }: ClosingOptions): Promise<void> {
  let isClosing = false
  let underWay = 0

  app.server.on('request', (_request, response) => {
    underWay++
    response.once('close', () => { underWay-- })
  })
  // Whoever is answered now is told that the connection ends with that, instead of meeting a closed one.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isClosing) reply.header('connection', 'close')
    done(null, payload)
  })
  app.addHook('preClose', async () => {
    isClosing = true
    const giveUpAt = performance.now() + deadlineMs
    const timer = setInterval(() => {
      if (underWay === 0 || performance.now() > giveUpAt) app.server.closeAllConnections()
    }, lookAgainMs)
    app.server.once('close', () => { clearInterval(timer) })
    timer.unref()
  })
}

export default fp(closing, { name: 'closing', fastify: '5.x' })
