import { costEach, type CapacityInputs } from './inputs.ts'
import { habits, lifetimes, loadReplica, planFor, plannedShare, redisShare, shards, type Plan } from './plan.ts'

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
const table = (head: readonly string[], rows: readonly string[][]) => [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n')

/** Three digits count, as much as these figures are good for. */
const number = (value: number) => value >= 100 ? Math.round(Number(value.toPrecision(3))).toLocaleString('en') : Number(value.toPrecision(3)).toString()

function bytes (value: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3))
  return `${number(value / 1000 ** step)} ${units[step]}`
}

/** All of docs/capacity.md that rests on figures. */
export function formatCapacity (inputs: CapacityInputs): string {
  return [...formatInputs(inputs), ...formatReplicas(inputs), ...formatGrowth(inputs), ...formatExamples(inputs)].join('\n\n')
}

function formatInputs (inputs: CapacityInputs): string[] {
  const { check, lookup, acts } = inputs
  const part = (name: string) => `\`npm run bench -- --only ${name}\``
  const actRow = (act: keyof typeof acts) => [`\`POST /${act}\`: the service, Postgres, Redis`, `${number(acts[act].cpuMicros)}, ${number(acts[act].postgresMicros)}, ${number(acts[act].redisMicros)} µs`, part('service')]
  return [
    '## What it rests on',
    `Medians, measured at ${inputs.measuredAt} on one core each: ${inputs.machine}. Processor time, in microseconds; the process that serves, Postgres and Redis each by themselves.`,
    table(['what', 'how much', 'measured by'], [
      ['a checked request, in the process that serves it', `${number(check.eachMicros)} µs, and ${number(check.togetherMicros)} µs for all of one turn of the event loop`, part('variants')],
      ['the same at 50 connections, in the service', `${number(inputs.serviceCheckMicros)} µs`, part('service')],
      ['a look-up, in Redis', `${number(lookup.eachMicros)} µs, and ${number(lookup.togetherMicros)} µs for all of one command`, part('lookups')],
      ['a look-up, in a Redis of a cluster', `${number(inputs.lookupInClusterMicros)} µs`, part('lookups')],
      actRow('login'),
      actRow('refresh'),
      actRow('logout'),
      ['a logout in Redis\' memory, for as long as its tokens could live', bytes(inputs.bytesPerLogout), part('memory')],
      ['a session, a security event and a revocation in Postgres', `${bytes(inputs.bytesPerSession)}, ${bytes(inputs.bytesPerEvent)}, ${bytes(inputs.bytesPerRevocation)}`, `${part('service')}, ${part('replay')}`],
      ['a million revocations replayed into an empty Redis', `${number(inputs.replaySecondsPerMillion)} s`, part('replay')]
    ])
  ]
}

function formatReplicas (inputs: CapacityInputs): string[] {
  const loads = [0.1, 0.25, 0.5, 0.75, 0.9].map(share => loadReplica(inputs, share))
  return [
    '## What one core serves, and one Redis',
    'A replica that has more to do finds more requests waiting at each turn of its event loop, and asks about all of them at once. How many that are was simulated: requests come at random, and a turn takes whatever has come during the one before.',
    table(['a replica uses of its core', 'checked requests a second', 'look-ups in a command', 'Redis µs a look-up', 'it uses of Redis\' core', `replicas that use ${redisShare * 100} % of it`], loads.map(load => [
      `${load.busyShare.toFixed(2) === '0.10' ? '10' : Math.round(load.busyShare * 100)} %`, number(load.requestsPerSecond), number(load.together), number(load.redisMicros), `${number(load.redisBusyShare * 100)} %`, Math.floor(load.replicasPerRedis).toString()
    ])),
    `One Redis alone answers ${number(1e6 / costEach(inputs.lookup, 1))} look-ups a second that come one by one, and ${number(1e6 / costEach(inputs.lookup, 25))} that come 25 at a time.`
  ]
}

function formatGrowth (inputs: CapacityInputs): string[] {
  const hour = { rate: 100, entries: 100 * (lifetimes.accessTokenSeconds + 3 * lifetimes.leewaySeconds) }
  return [
    '## How it grows',
    table(['what', 'grows with', 'and not with'], [
      ['checked requests a second: cores of replicas, Redis\' core', 'requests a second', 'users, logouts, size of the blocklist'],
      ['Redis\' memory', 'logouts a second × the rest of the token\'s lifetime, at most `ACCESS_TOKEN_TTL + 3 × CLOCK_LEEWAY`', 'users, requests, sessions that end by themselves'],
      ['a replay', 'logouts that Redis holds, 2 entries each', 'users, requests, logouts that are over'],
      ['Postgres', 'sign-ins, refreshes and logouts a second', 'requests with a token: they ask no database'],
      ['Postgres\' disk', 'sign-ins a day × how long sessions and security events are kept', 'requests']
    ]),
    `At ${hour.rate} logouts a second and ${lifetimes.accessTokenSeconds} s of lifetime Redis holds at most ${number(hour.entries)} logouts: ${bytes(hour.entries * inputs.bytesPerLogout)}, replayed in ${number(2 * hour.entries / 1e6 * inputs.replaySecondsPerMillion)} s. Twice the lifetime is twice of both; with it refreshes become half as many.`
  ]
}

function formatExamples (inputs: CapacityInputs): string[] {
  const plans = [100_000, 100_000_000].map(users => planFor(users, inputs))
  const each = (name: string, pick: (plan: Plan) => string) => [name, ...plans.map(pick)]
  return [
    '## Two examples',
    `Assumed: each user signs in ${habits.signInsPerDay} × a day, stays ${habits.visitSeconds / 60} minutes on average and sends a request every ${habits.secondsBetweenRequests} s; ${habits.logoutShare * 100} % of the visits end with a logout; ` +
    `at the busiest time there is ${habits.peakFactor} × as much as on average. Settings are the defaults. The crowd of the busiest hours was simulated, visit by visit, for 100,000 users. ` +
    `Replicas are planned to use ${plannedShare * 100} % of their cores, so that one can be away. Cores are busy ones.`,
    table(['at the busiest time', ...plans.map(({ users }) => `${users.toLocaleString('en')} users`)], [
      each('people there', ({ crowd }) => number(crowd.online)),
      each('requests a second', ({ crowd }) => number(crowd.requestsPerSecond)),
      each('sign-ins, refreshes, logouts a second', ({ crowd }) => [crowd.signInsPerSecond, crowd.refreshesPerSecond, crowd.logoutsPerSecond].map(number).join(', ')),
      each('cores for checked requests', ({ cores }) => number(cores.checks)),
      each('cores for sign-ins, which are argon2', ({ cores }) => number(cores.signIns)),
      each('cores for refreshes, logouts', ({ cores }) => `${number(cores.refreshes)}, ${number(cores.logouts)}`),
      each('replicas of one core', ({ replicas }) => number(replicas)),
      each('Postgres\' cores', ({ postgresCores }) => number(postgresCores)),
      each('Redis\' core, of one that is no cluster', ({ redisCores }) => `${number(redisCores * 100)} %`),
      each('the primaries of a cluster together', ({ clusterCores }) => `${number(clusterCores * 100)} % of a core`),
      each('logouts in Redis, and what they take', ({ crowd, blocklistBytes }) => `${number(crowd.liveLogouts)}, ${bytes(blocklistBytes)}`),
      each('a replay into an empty Redis', ({ replaySeconds }) => `${number(replaySeconds)} s`),
      each('everybody who is there signed out at once: Redis\' memory, a replay', ({ everybodyBytes, everybodyReplaySeconds }) => `${bytes(everybodyBytes)}, ${number(everybodyReplaySeconds)} s`),
      each('sessions and security events in Postgres', ({ sessionsBytes, eventsBytes }) => `${bytes(sessionsBytes)}, ${bytes(eventsBytes)}`)
    ]),
    ...plans.map(describeRedis)
  ]
}

function describeRedis ({ users, redisCores, clusterCores, crowd }: Plan): string {
  const who = `**${users.toLocaleString('en')} users**`
  if (redisCores <= redisShare) return `${who}: one Redis does, with ${number(redisCores * 100)} % of its core. It would be enough for ${number(users * redisShare / redisCores)} of such users.`
  const primaries = Math.min(shards, Math.max(3, Math.ceil(clusterCores / redisShare)))
  return `${who}: one Redis does not do, since ${number(crowd.requestsPerSecond)} look-ups a second would take ${number(redisCores)} cores of the one that it has: a cluster is necessary from about ${number(users * redisShare / redisCores)} of such users on. ` +
    `It takes ${number(clusterCores)} busy cores: ${primaries} primaries.` + (clusterCores / primaries > redisShare ? ' That is more than its sixteen shards can be spread over: use faster cores, or several services.' : '')
}
