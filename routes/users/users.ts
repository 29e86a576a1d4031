import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  IdParams, ManagedUser, NoBody, PageQuery, RoleChange, StatusChange, UserPage, actFailures, adminFailures, answer,
  bodyFailures, failures, noContent, ref, toManagedUser, toUserPage
} from '../../src/schemas/schemas.ts'

/** The errors of a change of a user. */
const changeFailures = failures(...bodyFailures, ...actFailures, 'not_found', 'last_admin')
const changed = { 200: answer(ManagedUser, 'The user as it is now.'), ...changeFailures }
const admin = { tags: ['administration'], security: [{ bearer: [] }] }

const users: FastifyPluginAsyncTypebox = async app => {
  app.get('/users', {
    onRequest: app.authenticateAdmin,
    schema: {
      ...admin,
      operationId: 'listUsers',
      summary: 'All users, in the order of their registration',
      querystring: PageQuery,
      response: { 200: answer(UserPage, 'A page of users.'), ...failures('invalid_request', ...adminFailures) }
    }
  }, async ({ query }) => toUserPage(await app.userAdministration.list(query)))

  app.get('/users/:id', {
    onRequest: app.authenticateAdmin,
    schema: {
      ...admin,
      operationId: 'getUser',
      summary: 'One user',
      params: IdParams,
      response: { 200: answer(ManagedUser, 'The user.'), ...failures('invalid_request', ...adminFailures, 'not_found') }
    }
  }, async ({ params }) => toManagedUser(await app.userAdministration.get(params.id)))

  app.put('/users/:id/role', {
    onRequest: app.authenticateAdminToEnd,
    schema: {
      ...admin,
      operationId: 'setRole',
      summary: 'Change the role of a user, and end all sessions with the old role',
      params: IdParams,
      body: ref(RoleChange),
      response: changed
    }
  }, async ({ user, params, body, requester }) => {
    return toManagedUser(
      await app.userAdministration.setRole(params.id, body.role, { id: user.sub, sid: user.sid, requester })
    )
  })

  app.put('/users/:id/status', {
    onRequest: app.authenticateAdminToEnd,
    schema: {
      ...admin,
      operationId: 'setStatus',
      summary: 'Disable a user, and end all sessions, or let the user sign in again',
      params: IdParams,
      body: ref(StatusChange),
      response: changed
    }
  }, async ({ user, params, body, requester }) => {
    return toManagedUser(
      await app.userAdministration.setStatus(params.id, body.status, { id: user.sub, sid: user.sid, requester })
    )
  })

  app.delete('/users/:id', {
    onRequest: app.authenticateAdminToEnd,
    schema: {
      ...admin,
      operationId: 'deleteUser',
      summary: 'Delete a user, and end all sessions',
      params: IdParams,
      body: NoBody,
      response: { 204: noContent('There is no such user any more.'), ...changeFailures }
    }
  }, async ({ user, params, requester }, reply) => {
    await app.userAdministration.delete(params.id, { id: user.sub, sid: user.sid, requester })
    return reply.code(204).send(null)
  })
}

export default users
