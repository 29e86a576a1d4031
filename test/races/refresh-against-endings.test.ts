import t from 'tap'
import { contenders } from './race-acts.ts'
import { setRaces, steps } from './races.ts'

const testRaces = await setRaces(t)

t.test(`a refresh loses a race against any ending of sessions, at ${steps}`, async t => {
  await testRaces(t, contenders.refresh)
})

t.test(`a refresh in grace loses a race against any ending of sessions, at ${steps}`, async t => {
  await testRaces(t, contenders.refreshInGrace)
})

t.test(`a refresh that supersedes a lost pair loses a race against any ending, at ${steps}`, async t => {
  await testRaces(t, contenders.repeatedRefresh)
})
