import t from 'tap'
import { contenders } from './race-acts.ts'
import { setRaces, steps } from './races.ts'

const testRaces = await setRaces(t)

t.test(`a reuse loses a race against any ending of sessions, at ${steps}`, async t => {
  await testRaces(t, contenders.reuse)
})

t.test(`a logout loses a race against any ending of sessions, at ${steps}`, async t => {
  await testRaces(t, contenders.logout)
})
