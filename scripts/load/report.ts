import type { Latencies } from './histogram.ts'
import type { Operation, ProfileName } from './profiles.ts'

/**
 * The verdict on the answer to a revoked token: refused as revoked; accepted, which is a violation; unavailable (503);
 * or inconclusive. An inconclusive answer proves nothing: the token had expired too, for example, or there was no
 * answer.
 */
export type Verdict = 'refused' | 'accepted' | 'unavailable' | 'inconclusive'

/** An interval of the run. */
export interface Point {
  /** The start, in seconds since the start of the run. */
  atSeconds: number
  seconds: number
  requests: Partial<Record<Operation, number>>
  /** By status, or by the failure if there was no answer. */
  statuses: Record<string, number>
  notSent: number
  latencyMs: Latencies | undefined
  checks: Record<Verdict, number>
  /** The longest time from a logout's answer until the last target was asked. */
  lastAskedMs: number | undefined
}

export interface OperationFigures {
  requests: number
  statuses: Record<string, number>
  /** Corrected for coordinated omission. */
  latencyMs: Latencies | undefined
  /** As measured, if that differs. */
  measuredLatencyMs?: Latencies | undefined
  distribution: [percentile: number, ms: number][]
}

/** A token that was accepted after its logout had been answered 200. */
export interface Violation {
  what: 'access token' | 'refresh token'
  /** The instant of the logout's answer. */
  loggedOutAt: string
  loggedOutBy: string
  acceptedBy: string
  status: number
  askedAfterMs: number
  answeredAfterMs: number
}

export interface RevocationFigures {
  /** Logouts that were answered 200. Each was checked. */
  logouts: number
  /** Logouts during the load. The others are those of users who leave after it. */
  logoutsUnderLoad: number
  /** Logouts after which every target has refused every token. */
  refusedEverywhere: number
  /** The verdicts on the answers to revoked tokens. */
  answers: Record<Verdict, number>
  /** Requests that could not be sent, because there was no connection to the target. */
  neverAsked: number
  /**
   * The time from a logout's answer until the last target was asked, and until it had answered. Targets that were never
   * asked are left out.
   */
  lastAskedMs: { median: number, max: number } | undefined
  lastAnsweredMs: { median: number, max: number } | undefined
  /** Tokens that were checked again at the end. */
  askedAgain: { tokens: number, answers: Record<Verdict, number> }
  violationCount: number
  /** The first violations. */
  violations: Violation[]
}

export interface Report {
  version: string
  startedAt: string
  /** The duration of the load. */
  seconds: number
  endedBy: 'duration' | 'interruption'
  targets: string[]
  /** True if the replicas were started for this run. */
  ownReplicas: boolean
  profile: ProfileName
  profileDescription: string
  users: number
  mode: { kind: 'open', ratePerSecond: number } | { kind: 'closed' } | { kind: 'waves' }
  /** The treatment of coordinated omission, for people. */
  coordinatedOmission: string
  preparationSeconds: number
  totals: {
    requests: number
    requestsPerSecond: number
    failed: number
    notSent: number
    latencyMs: Latencies | undefined
    distribution: [percentile: number, ms: number][]
  }
  operations: Partial<Record<Operation, OperationFigures>>
  intervalSeconds: number
  timeline: Point[]
  revocation: RevocationFigures
  /** The use of the processor by this program. Near 1, the figures may be its own limit. */
  generator: { cpuShare: number, eventLoopDelayP99Ms: number }
}
