import t from 'tap'
import { contenders } from '../support/race-acts.ts'
import { testRaces } from '../support/races.ts'

t.test('a reuse that races an ending loses to it, wherever either is held', async t => {
  await testRaces(t, contenders.reuse)
})

t.test('a logout that races an ending loses to it, wherever either is held', async t => {
  await testRaces(t, contenders.logout)
})
