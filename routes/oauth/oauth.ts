import type { FastifyPluginAsync } from 'fastify'
import { readFormBodies } from '../../plugins/validation/form-bodies.ts'
import introspect from './introspect.ts'
import revoke from './revoke.ts'
import token from './token.ts'

/** The endpoints of OAuth. They take forms, and their errors have the form of RFC 6749. */
const oauth: FastifyPluginAsync = async app => {
  readFormBodies(app)
  app.register(token)
  app.register(revoke)
  app.register(introspect)
}

export default oauth
