import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import { createSessionService, type SessionService } from '../src/sessions/session-service.ts'
import { createPasswordHasher } from '../src/users/password-hasher.ts'
import { createUserRepository } from '../src/users/user-repository.ts'
import { createUserService, type UserService } from '../src/users/user-service.ts'

declare module 'fastify' {
  interface FastifyInstance {
    users: UserService
    sessions: SessionService
  }
}

export interface AccountsOptions {
  config: Pick<Config, 'PASSWORD_MIN_LENGTH'>
}

/** Users, and the sessions that they open and end. */
async function accounts (app: FastifyInstance, { config }: AccountsOptions): Promise<void> {
  const users = createUserRepository(app.database)
  const passwords = await createPasswordHasher()
  app.decorate('users', createUserService({ users, passwords, passwordMinLength: config.PASSWORD_MIN_LENGTH }))
  app.decorate('sessions', createSessionService({ users, passwords, accessTokens: app.accessTokens, revoker: app.revoker }))
}

export default fp(accounts, { name: 'accounts', fastify: '5.x', dependencies: ['database', 'tokens'] })
