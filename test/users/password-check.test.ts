import t from 'tap'
import { SignoutError } from '../../src/errors.ts'
import { noLimits, type PasswordGuess } from '../../src/limits/limits.ts'
import { createPasswordCheck } from '../../src/users/password-check.ts'
import { createPasswordHasher, type PasswordHasher } from '../../src/users/password-hasher.ts'
import { unlimitedWrongPasswords, type WrongPasswords } from '../../src/users/wrong-passwords.ts'
import type { User } from '../../src/users/user-repository.ts'
import { password } from '../support/people.ts'

t.test('a password check does one verification for every username, against a hash or a decoy', async t => {
  const hasher = await createPasswordHasher()
  const user = { id: crypto.randomUUID(), username: 'ada', passwordHash: await hasher.hash(password, 'here') } as User
  const verified: Array<string | undefined> = []
  const passwords: PasswordHasher = {
    hash: hasher.hash,
    load: hasher.load,
    isWeak: hasher.isWeak,
    verify (password, passwordHash, place) {
      verified.push(passwordHash === undefined ? 'decoy' : 'hash')
      return hasher.verify(password, passwordHash, place)
    }
  }
  const failures: Array<string | undefined> = []
  const events = {
    hasSignedInFrom: async () => false,
    countFailure: async ({ userId }: { userId?: string | undefined }) => { failures.push(userId) },
    list: async () => ({ items: [], nextCursor: undefined })
  }
  const check = createPasswordCheck({ passwords, limits: noLimits, wrongPasswords: unlimitedWrongPasswords, events })
  const ask = (user: User | undefined, ...passwords: string[]) =>
    check({ username: 'ada', user, passwords, requester: {}, failure: 'login_failed' })

  t.equal(await ask(user, 'a wrong password'), -1)
  t.equal(await ask(undefined, password), -1)
  t.equal(await ask(user, '\ud800'.repeat(15)), -1, 'what has no encoding is nobody\'s password')
  t.same(verified, ['hash', 'decoy', 'decoy'])
  t.same(failures, [user.id, undefined, user.id], 'and each is recorded')
  t.equal(await ask(user, password), 0)
  t.equal(await ask(user, 'a wrong password', password), 1, 'the second of two')
  t.equal(failures.length, 3)
})

t.test('several passwords are one attempt, and an unchecked one gives it back only if no other was wrong', async t => {
  const hasher = await createPasswordHasher()
  const user = { id: crypto.randomUUID(), username: 'ada', passwordHash: await hasher.hash(password, 'here') } as User
  const busy = 'one for which there is no time'
  const passwords: PasswordHasher = {
    ...hasher,
    verify: async (typed, hash, place) => {
      if (typed === busy) throw new Error('No time.')
      return await hasher.verify(typed, hash, place)
    }
  }
  let [taken, failures, wrong] = [0, 0, 0]
  const giveBack = async () => { taken-- }
  const limits = {
    ...noLimits,
    attemptPassword: async () => {
      taken++
      return {
        succeed: giveBack, fail: async () => { wrong++ }, abandon: giveBack
      }
    }
  }
  const events = {
    hasSignedInFrom: async () => false,
    countFailure: async () => { failures++ },
    list: async () => ({ items: [], nextCursor: undefined })
  }
  const check = createPasswordCheck({ passwords, limits, wrongPasswords: unlimitedWrongPasswords, events })
  const ask = (...passwords: string[]) =>
    check({ username: 'ada', user, passwords, requester: {}, failure: 'password_check_failed' })

  t.equal(await ask('wrong', password), 1)
  await t.rejects(ask(busy, password), { message: 'No time.' })
  t.same([taken, failures, wrong], [0, 0, 0])
  t.equal(await ask('wrong', 'wrong again'), -1)
  t.same([taken, failures, wrong], [1, 1, 1])
  await t.rejects(ask('wrong', busy), { message: 'No time.' })
  t.same([taken, failures, wrong], [2, 2, 2], 'or it would tell a wrong password for nothing')
})

t.test('the known places are looked up for unknown usernames too', async t => {
  const user = { id: crypto.randomUUID(), username: 'ada', passwordHash: 'never verified' } as User
  const asked: string[] = []
  const events = {
    hasSignedInFrom: async (userId: string) => {
      asked.push(userId)
      return true
    },
    countFailure: async () => {},
    list: async () => ({ items: [], nextCursor: undefined })
  }
  const answers: boolean[] = []
  const limits = {
    ...noLimits,
    attemptPassword: async ({ isKnownPlace }: PasswordGuess) => {
      answers.push(await isKnownPlace())
      throw new Error('Used up.')
    }
  }
  const passwords = await createPasswordHasher()
  const check = createPasswordCheck({ passwords, limits, wrongPasswords: unlimitedWrongPasswords, events })
  for (const known of [user, undefined]) {
    await t.rejects(
      check({ username: 'ada', user: known, passwords: [password], requester: {}, failure: 'login_failed' }),
      { message: 'Used up.' }
    )
  }
  t.same(answers, [true, false], 'no place is known to an account that does not exist')
  t.equal(asked.length, 2, 'the same query for both')
  t.equal(asked[0], user.id)
  t.match(asked[1], /^[0-9a-f-]{36}$/)
})

t.test('a password check whose attempt has lapsed has no result', async t => {
  const hasher = await createPasswordHasher()
  const user = { id: crypto.randomUUID(), username: 'ada', passwordHash: await hasher.hash(password, 'here') } as User
  const lapsed = async () => { throw new SignoutError('service_unavailable') }
  const limits = {
    ...noLimits, attemptPassword: async () => ({ succeed: lapsed, fail: lapsed, abandon: async () => {} })
  }
  const events = {
    hasSignedInFrom: async () => false,
    countFailure: async () => { t.fail('a failure is recorded') },
    list: async () => ({ items: [], nextCursor: undefined })
  }
  const check = createPasswordCheck({ passwords: hasher, limits, wrongPasswords: unlimitedWrongPasswords, events })
  for (const typed of [password, 'a wrong password']) {
    await t.rejects(check({ username: 'ada', user, passwords: [typed], requester: {}, failure: 'login_failed' }), {
      code: 'service_unavailable'
    })
  }
})

t.test('a limit in a row refuses a right password and a wrong one alike, before the hash and after it', async t => {
  const user = { id: crypto.randomUUID(), username: 'ada', passwordHash: 'a hash' } as User
  const hasher = await createPasswordHasher()
  const refuse = async () => { throw new Error('Used up.') }
  async function ask (isRight: boolean, wrongPasswords: WrongPasswords): Promise<string[]> {
    const done: string[] = []
    const act = (name: string) => async () => { done.push(name) }
    const attempt = { succeed: act('succeed'), fail: act('fail'), abandon: act('abandon') }
    const check = createPasswordCheck({
      passwords: { ...hasher, verify: async () => { done.push('verify'); return isRight } },
      limits: { ...noLimits, attemptPassword: async () => { done.push('reserve'); return attempt } },
      wrongPasswords,
      events: {
        hasSignedInFrom: async () => false,
        countFailure: act('an event'),
        list: async () => ({ items: [], nextCursor: undefined })
      }
    })
    await t.rejects(
      check({ username: 'ada', user, passwords: [password], requester: {}, failure: 'login_failed' }),
      { message: 'Used up.' }
    )
    return done
  }
  for (const isRight of [true, false]) {
    t.same(await ask(isRight, { ...unlimitedWrongPasswords, admit: refuse }), [], 'nothing is hashed')
    t.same(
      await ask(isRight, { ...unlimitedWrongPasswords, conclude: refuse }),
      ['reserve', 'verify', 'abandon'],
      'and the other limits stay as they were'
    )
  }
})
