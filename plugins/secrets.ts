import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { openRootSecret } from '../src/keys/root-secret.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The secret from which all others are derived. It stays when KEY_ENCRYPTION_SECRET is changed. */
    rootSecret: Uint8Array
  }
}

/** Reads the root secret, or makes it. */
async function secrets (app: FastifyInstance): Promise<void> {
  app.decorate('rootSecret', await openRootSecret(app.database, app.keyEncryption))
}

export default fp(secrets, { name: 'secrets', fastify: '5.x', dependencies: ['database'] })
