import t from 'tap'
import { contenders } from '../support/race-acts.ts'
import { testRaces } from '../support/races.ts'

t.test('a refresh that races an ending loses to it, wherever either is held', async t => {
  await testRaces(t, contenders.refresh)
})

t.test('a refresh in grace that races an ending loses to it, wherever either is held', async t => {
  await testRaces(t, contenders.refreshInGrace)
})
