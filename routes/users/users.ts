import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  IdParams, ManagedUser, NoBody, PageQuery, RoleChange, StatusChange, UserPage, actFailures, adminFailures, answer,
  bodyFailures, failures, noContent, ref, toManagedUser, toUserPage
} from '../../src/schemas/schemas.ts'

/** The errors of a change of a user. */
const changeFailures = failures(...bodyFailures, ...actFailures, 'not_found', 'last_admin')
const changed = { 200: answer(ManagedUser, 'The user as it is now.'), ...changeFailures }
const admin = { tags: ['administration'], security: [{ bearer: [] }] }
const change = { ...admin, params: IdParams, response: changed }

const users: FastifyPluginAsyncTypebox = async app => {
  app.get('/users', {
    onRequest: app.authenticateAdmin,
    schema: {
      ...admin,
      operationId: 'listUsers',
      summary: 'All users, in the order of their registration',
      description: 'In pages. `next_cursor` of one page is the `cursor` of the next.',
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
      description: 'By the id, which is `sub` of the tokens.',
      params: IdParams,
      response: { 200: answer(ManagedUser, 'The user.'), ...failures('invalid_request', ...adminFailures, 'not_found') }
    }
  }, async ({ params }) => toManagedUser(await app.userAdministration.get(params.id)))

  app.put('/users/:id/role', {
    onRequest: app.authenticateAdminToEnd,
    schema: {
      ...change,
      operationId: 'setRole',
      summary: 'Change the role of a user, and end all sessions with the old role',
      description: 'The new role is in the tokens of the next login. To set the role that the user has ends nothing.',
      body: ref(RoleChange)
    }
  }, async ({ user, params, body, requester }) => {
    return toManagedUser(
      await app.userAdministration.setRole(params.id, body.role, { id: user.sub, sid: user.sid, requester })
    )
  })

  app.put('/users/:id/status', {
    onRequest: app.authenticateAdminToEnd,
    schema: {
      ...change,
      operationId: 'setStatus',
      summary: 'Disable a user, and end all sessions, or let the user sign in again',
      description: 'A disabled user is refused at the login with 403 `account_disabled`.',
      body: ref(StatusChange)
    }
  }, async ({ user, params, body, requester }) => {
    return toManagedUser(
      await app.userAdministration.setStatus(params.id, body.status, { id: user.sub, sid: user.sid, requester })
    )
  })

  app.delete('/users/:id', {
    onRequest: app.authenticateAdminToEnd,
    schema: {
      ...change,
      operationId: 'deleteUser',
      summary: 'Delete a user, and end all sessions',
      description: 'The answer comes once every replica refuses the tokens. It can be repeated. There is no way back.',
      body: NoBody,
      response: { 204: noContent('There is no such user any more.'), ...changeFailures }
    }
  }, async ({ user, params, requester }, reply) => {
    await app.userAdministration.delete(params.id, { id: user.sub, sid: user.sid, requester })
    return reply.code(204).send(null)
  })
}

export default users
