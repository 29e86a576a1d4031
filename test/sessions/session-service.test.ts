import t from 'tap'
import { openEmbedded } from '../../src/db/embedded.ts'
import { createSessionService } from '../../src/sessions/session-service.ts'
import { createPasswordHasher, type PasswordHasher } from '../../src/users/password-hasher.ts'
import { createUserRepository } from '../../src/users/user-repository.ts'
import { password } from '../support/people.ts'

t.test('a login does the same work for whoever there is: one verification, against a hash or a decoy', async t => {
  const database = await openEmbedded()
  t.teardown(() => database.close())
  const users = createUserRepository(database)
  const hasher = await createPasswordHasher()
  await users.add('ada', await hasher.hash(password))
  const verified: Array<string | undefined> = []
  const passwords: PasswordHasher = {
    hash: hasher.hash,
    load: hasher.load,
    verify (password, passwordHash) {
      verified.push(passwordHash === undefined ? 'decoy' : 'hash')
      return hasher.verify(password, passwordHash)
    }
  }
  const accessTokens = { issue: async () => ({ token: 'a token', expiresInSeconds: 1 }) }
  const sessions = createSessionService({ users, passwords, accessTokens, revoker: { revoke: async () => {} } })

  await t.rejects(sessions.login('ada', 'a wrong password'), { code: 'invalid_credentials' })
  await t.rejects(sessions.login('nobody', password), { code: 'invalid_credentials' })
  await t.rejects(sessions.login('not a username', password), { code: 'invalid_credentials' })
  await t.rejects(sessions.login('ada', '\ud800'.repeat(15)), { code: 'invalid_credentials' })
  t.same(verified, ['hash', 'decoy', 'decoy', 'decoy'])
  t.match(await sessions.login('ada', password), { token: 'a token' })
})
