import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/**
 * Lets the service close as soon as its last request is answered: clients that keep their connections open are told,
 * with that answer, that this one ends. Otherwise closing would wait until each of them gives up by itself.
 */
async function closing (app: FastifyInstance): Promise<void> {
  let isClosing = false
  app.addHook('preClose', async () => { isClosing = true })
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isClosing) reply.header('connection', 'close')
    done(null, payload)
  })
}

export default fp(closing, { name: 'closing', fastify: '5.x' })
