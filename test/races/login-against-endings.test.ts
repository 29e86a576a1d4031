import t from 'tap'
import { contenders } from '../support/race-acts.ts'
import { testRaces } from '../support/races.ts'

t.test('a login that races an ending loses to it, wherever either is held', async t => {
  await testRaces(t, contenders.login)
})

t.test('a password change that races an ending loses to it, wherever either is held', async t => {
  await testRaces(t, contenders.passwordChange)
})
