import t from 'tap'
import { contenders } from './race-acts.ts'
import { testRaces } from './races.ts'

t.test('a login loses a race against any ending of sessions, at every step of both', async t => {
  await testRaces(t, contenders.login)
})

t.test('a password change loses a race against any ending of sessions, at every step of both', async t => {
  await testRaces(t, contenders.passwordChange)
})
