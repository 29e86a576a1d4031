import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  KeyParams, KeyRetirement, Keys, NoBody, actFailures, adminFailures, answer, bodyFailures, failures, ref, toKeys
} from '../src/schemas/schemas.ts'

const admin = { tags: ['administration'], security: [{ bearer: [] }] }

const keys: FastifyPluginAsyncTypebox = async app => {
  app.get('/keys', {
    onRequest: app.authenticateAdmin,
    schema: {
      ...admin,
      operationId: 'listKeys',
      summary: 'The signing keys, oldest first',
      description: 'Without their private parts. The public parts are at `/.well-known/jwks.json`.',
      response: { 200: answer(Keys, 'The keys, without their private parts.'), ...failures(...adminFailures) }
    }
  }, async () => toKeys(await app.keyAdministration.list()))

  app.post('/keys/rotate', {
    onRequest: app.authenticateAdminToEnd,
    schema: {
      ...admin,
      operationId: 'rotateKey',
      summary: 'Let the next key sign',
      description:
        'The spare key, which is published already, signs from now on. The key before it verifies what it has signed. No request fails.',
      body: NoBody,
      response: {
        200: answer(Keys, 'The keys after the rotation.'), ...failures(...bodyFailures, ...actFailures, 'key_not_ready')
      }
    }
  }, async ({ user, requester }) =>
    toKeys(await app.keyAdministration.rotate({ id: user.sub, sid: user.sid, requester })))

  app.post('/keys/:kid/retire', {
    onRequest: app.authenticateAdminToEnd,
    schema: {
      ...admin,
      operationId: 'retireKey',
      summary: 'Retire a key',
      description:
        'With `compromised`, every token of the key is refused on every replica before this is answered, your own included. Clients refresh, and are signed in as before.',
      params: KeyParams,
      body: ref(KeyRetirement),
      response: {
        200: answer(Keys, 'The keys after that.'),
        ...failures(...bodyFailures, ...actFailures, 'not_found', 'key_not_ready')
      }
    }
  }, async ({ user, params: { kid }, body: { compromised = false }, requester }) =>
    toKeys(await app.keyAdministration.retire(kid, compromised, { id: user.sub, sid: user.sid, requester })))
}

export default keys
