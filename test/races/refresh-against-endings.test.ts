import t from 'tap'
import { contenders } from './race-acts.ts'
import { setRaces } from './races.ts'

const testRaces = await setRaces(t)

t.test('a refresh loses a race against any ending of sessions, at every step of both', async t => {
  await testRaces(t, contenders.refresh)
})

t.test('a refresh in grace loses a race against any ending of sessions, at every step of both', async t => {
  await testRaces(t, contenders.refreshInGrace)
})
