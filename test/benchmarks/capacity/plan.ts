import { costEach, type CapacityInputs } from './inputs.ts'
import { scale, simulateCrowd, type Crowd, type Habits, type Lifetimes } from './population.ts'
import { findLoad } from './turns.ts'

/** What is assumed of the people in the worked examples. */
export const habits: Habits = { signInsPerDay: 1, visitSeconds: 1_200, logoutShare: 0.3, secondsBetweenRequests: 5, peakFactor: 3 }
/** What the service is set to by default. */
export const lifetimes: Lifetimes = { accessTokenSeconds: 900, leewaySeconds: 5 }
/** Of how much of a core one plans with: what is left is for bursts, for one replica that is away, and for garbage. */
export const plannedShare = 0.5
/** From where on a Redis is too busy to answer in time: it has one core for commands. */
export const redisShare = 0.7
/** How many shards a cluster has, and so in how many parts the look-ups of a turn are asked for. */
export const shards = 16

/** How a replica does at one load. */
export interface ReplicaLoad {
  busyShare: number
  requestsPerSecond: number
  /** Look-ups in one command. */
  together: number
  /** Processor time of Redis for one of them, in microseconds, and what this replica takes of it. */
  redisMicros: number
  redisBusyShare: number
  /** How many replicas like this one Redis serves. */
  replicasPerRedis: number
}

export function loadReplica ({ check, lookup }: CapacityInputs, busyShare: number): ReplicaLoad {
  const { requestsPerSecond, together } = findLoad(check, busyShare)
  const redisMicros = costEach(lookup, together)
  const redisBusyShare = requestsPerSecond * redisMicros / 1e6
  return { busyShare, requestsPerSecond, together, redisMicros, redisBusyShare, replicasPerRedis: redisShare / redisBusyShare }
}

/** What a service of so many users needs at its busiest time. Cores are counted as busy ones: divide by the planned share. */
export interface Plan {
  users: number
  crowd: Crowd
  cores: { checks: number, signIns: number, refreshes: number, logouts: number }
  postgresCores: number
  /** Of one Redis without a cluster, and of all primaries of a cluster together. */
  redisCores: number
  clusterCores: number
  replicas: number
  blocklistBytes: number
  /** Sessions and security events in Postgres. */
  sessionsBytes: number
  eventsBytes: number
  replaySeconds: number
  /** When everybody who is there is signed out at once. */
  everybodyBytes: number
  everybodyReplaySeconds: number
}

/** More are not simulated one by one. */
const simulatedUsers = 100_000
const seed = 20_261_125
/** For how long sessions and security events are kept by default: those that are not logged out live for a while before. */
const retentionDays = { session: 30, event: 90 }
const sessionLifeDays = 14

export function planFor (users: number, inputs: CapacityInputs): Plan {
  const crowd = scale(simulateCrowd(simulatedUsers, habits, lifetimes, seed), users / simulatedUsers)
  const { acts, bytesPerLogout, bytesPerSession, bytesPerEvent, replaySecondsPerMillion } = inputs
  const { requestsPerSecond, together } = findLoad(inputs.check, plannedShare)
  const busy = (perSecond: number, micros: number) => perSecond * micros / 1e6
  const ofActs = (field: 'postgresMicros' | 'redisMicros') =>
    busy(crowd.signInsPerSecond, acts.login[field]) + busy(crowd.refreshesPerSecond, acts.refresh[field]) + busy(crowd.logoutsPerSecond, acts.logout[field])
  const cores = {
    checks: crowd.requestsPerSecond / requestsPerSecond * plannedShare,
    signIns: busy(crowd.signInsPerSecond, acts.login.cpuMicros),
    refreshes: busy(crowd.refreshesPerSecond, acts.refresh.cpuMicros),
    logouts: busy(crowd.logoutsPerSecond, acts.logout.cpuMicros)
  }
  return {
    users,
    crowd,
    cores,
    postgresCores: ofActs('postgresMicros'),
    redisCores: busy(crowd.requestsPerSecond, costEach(inputs.lookup, together)) + ofActs('redisMicros'),
    clusterCores: busy(crowd.requestsPerSecond, inputs.lookupInClusterMicros) + ofActs('redisMicros'),
    replicas: Math.max(2, Math.ceil((cores.checks + cores.signIns + cores.refreshes + cores.logouts) / plannedShare)),
    blocklistBytes: crowd.liveLogouts * bytesPerLogout,
    sessionsBytes: users * habits.signInsPerDay * (retentionDays.session + (1 - habits.logoutShare) * sessionLifeDays) * bytesPerSession,
    eventsBytes: users * habits.signInsPerDay * (1 + (crowd.refreshesPerSecond + crowd.logoutsPerSecond) / crowd.signInsPerSecond) * retentionDays.event * bytesPerEvent,
    replaySeconds: 2 * crowd.liveLogouts / 1e6 * replaySecondsPerMillion,
    // Each session is one entry, and so half of what a logout takes.
    everybodyBytes: crowd.online * bytesPerLogout / 2,
    everybodyReplaySeconds: crowd.online / 1e6 * replaySecondsPerMillion
  }
}
