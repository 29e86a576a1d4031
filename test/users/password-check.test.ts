import t from 'tap'
import { noLimits } from '../../src/limits/limits.ts'
import { createPasswordCheck } from '../../src/users/password-check.ts'
import { createPasswordHasher, type PasswordHasher } from '../../src/users/password-hasher.ts'
import type { User } from '../../src/users/user-repository.ts'
import { password } from '../support/people.ts'

t.test('a check does the same work for whoever there is: one verification, against a hash or a decoy', async t => {
  const hasher = await createPasswordHasher()
  const user = { id: crypto.randomUUID(), username: 'ada', passwordHash: await hasher.hash(password) } as User
  const verified: Array<string | undefined> = []
  const passwords: PasswordHasher = {
    hash: hasher.hash,
    load: hasher.load,
    verify (password, passwordHash) {
      verified.push(passwordHash === undefined ? 'decoy' : 'hash')
      return hasher.verify(password, passwordHash)
    }
  }
  const failures: Array<string | undefined> = []
  const events = { hasSignedInFrom: async () => false, countFailure: async ({ userId }: { userId?: string | undefined }) => { failures.push(userId) }, list: async () => ({ items: [], nextCursor: undefined }) }
  const check = createPasswordCheck({ passwords, limits: noLimits, events })
  const ask = (user: User | undefined, ...passwords: string[]) => check({ username: 'ada', user, passwords, client: {}, failure: 'login_failed' })

  t.equal(await ask(user, 'a wrong password'), -1)
  t.equal(await ask(undefined, password), -1)
  t.equal(await ask(user, '\ud800'.repeat(15)), -1, 'what has no encoding is nobody\'s password')
  t.same(verified, ['hash', 'decoy', 'decoy'])
  t.same(failures, [user.id, undefined, user.id], 'and each is recorded')
  t.equal(await ask(user, password), 0)
  t.equal(await ask(user, 'a wrong password', password), 1, 'the second of two')
  t.equal(failures.length, 3)
})
