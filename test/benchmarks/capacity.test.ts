import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { costEach, fit, type CapacityInputs } from './capacity/inputs.ts'
import { habits, lifetimes, loadReplica, planFor, plannedShare } from './capacity/plan.ts'
import { simulateCrowd } from './capacity/population.ts'
import { formatCapacity } from './capacity/report.ts'
import { findLoad, simulateTurns } from './capacity/turns.ts'
import { inputsFile, readWritten } from './documents.ts'

/** Of the size that such figures have; what the documents hold is measured. */
const inputs: CapacityInputs = {
  measuredAt: '2026-11-25T00:00:00.000Z',
  machine: 'a machine',
  check: { eachMicros: 14, togetherMicros: 57 },
  lookup: { eachMicros: 0.5, togetherMicros: 12 },
  lookupInClusterMicros: 6,
  serviceCheckMicros: 17,
  acts: {
    login: { cpuMicros: 14_000, postgresMicros: 1_500, redisMicros: 20 },
    refresh: { cpuMicros: 2_000, postgresMicros: 1_000, redisMicros: 4 },
    logout: { cpuMicros: 1_500, postgresMicros: 800, redisMicros: 70 }
  },
  bytesPerLogout: 270,
  bytesPerSession: 500,
  bytesPerEvent: 200,
  bytesPerRevocation: 250,
  replaySecondsPerMillion: 4
}
const isAbout = (value: number, expected: number, share = 0.05) => Math.abs(value / expected - 1) < share

t.test('docs/capacity.md says what follows from its figures', async t => {
  const measured = existsSync(inputsFile) ? formatCapacity(JSON.parse(readFileSync(inputsFile, 'utf8')) as CapacityInputs) : ''
  t.equal(readWritten('capacity.md'), measured, 'npm run bench -- --write')
  t.match(formatCapacity(inputs), /^\| replicas of one core \| \d+ \| [\d,]+ \|$/m)
  t.match(formatCapacity(inputs), '**100,000,000 users**: one Redis does not do')
})

t.test('what is shared by all that go together is told from what each costs', async t => {
  const found = fit([1, 2, 10, 50].map(together => ({ together, micros: 14 + 57 / together })))
  t.ok(isAbout(found.eachMicros, 14) && isAbout(found.togetherMicros, 57), JSON.stringify(found))
  t.ok(isAbout(costEach(found, 10), 19.7))
})

t.test('the simulated event loop is as busy as its requests make it, and finds more of them at once the busier it is', async t => {
  const cost = { eachMicros: 14, togetherMicros: 57 }
  const loads = [500, 5_000, 20_000, 40_000, 60_000].map(rate => simulateTurns(cost, rate, 100_000, 1))
  for (const { requestsPerSecond, busyShare, together } of loads) {
    t.ok(busyShare > requestsPerSecond * cost.eachMicros / 1e6 && busyShare <= 1, `${requestsPerSecond}: ${busyShare}`)
    t.ok(together >= 1)
  }
  t.same(loads.map(({ together }) => together), loads.map(({ together }) => together).toSorted((a, b) => a - b))
  t.ok(isAbout(loads[0]?.busyShare ?? 0, 500 * 71 / 1e6), 'one by one each costs all of it')
  t.ok(isAbout(findLoad(cost, 0.5).busyShare, 0.5, 0.02))
})

t.test('the simulated crowd has as many people and logouts as come in a second times how long each stays', async t => {
  const crowd = simulateCrowd(100_000, habits, lifetimes, 7)
  t.ok(isAbout(crowd.signInsPerSecond, 100_000 * habits.signInsPerDay * habits.peakFactor / 86_400))
  t.ok(isAbout(crowd.online, crowd.signInsPerSecond * habits.visitSeconds))
  t.ok(isAbout(crowd.logoutsPerSecond, crowd.signInsPerSecond * habits.logoutShare))
  // How long a visit goes on after a refresh is as long as it took in all: nobody gets tired.
  const { accessTokenSeconds: ttl, leewaySeconds } = lifetimes
  const rest = ttl / (1 - Math.exp(-ttl / habits.visitSeconds)) - habits.visitSeconds + 3 * leewaySeconds
  t.ok(isAbout(crowd.liveLogouts, crowd.logoutsPerSecond * rest), `${crowd.liveLogouts}`)
  t.ok(crowd.liveLogouts < crowd.logoutsPerSecond * (ttl + 3 * leewaySeconds), 'fewer than the bound')
  t.ok(isAbout(crowd.refreshesPerSecond, crowd.signInsPerSecond / (Math.exp(ttl / habits.visitSeconds) - 1)))
})

t.test('a service of a thousand times as many users needs a thousand times as much, but for what is shared', async t => {
  const [small, large] = [planFor(100_000, inputs), planFor(100_000_000, inputs)]
  t.ok(isAbout(large.redisCores, 1000 * small.redisCores, 0.001))
  t.ok(isAbout(large.blocklistBytes, 1000 * small.blocklistBytes, 0.001))
  t.ok(large.replicas > small.replicas)
  const load = loadReplica(inputs, plannedShare)
  t.ok(isAbout(load.requestsPerSecond * load.redisMicros / 1e6, load.redisBusyShare, 0.001))
})
