import t from 'tap'
import { contenders } from './race-acts.ts'
import { setRaces, steps } from './races.ts'

const testRaces = await setRaces(t)

t.test(`a login loses a race against any ending of sessions, at ${steps}`, async t => {
  await testRaces(t, contenders.login)
})

t.test(`a password change loses a race against any ending of sessions, at ${steps}`, async t => {
  await testRaces(t, contenders.passwordChange)
})
