import type { Latencies } from './histogram.ts'
import type { Operation, ProfileName } from './profiles.ts'

/**
 * What a target answered to a token that had ended: refused as revoked; accepted, which is a violation; 503; or
 * anything else, which proves nothing (it had expired as well, say, or there was no answer).
 */
export type Verdict = 'refused' | 'accepted' | 'unavailable' | 'inconclusive'

/** An interval of the run. */
export interface Point {
  /** When it began, in seconds since the start. */
  atSeconds: number
  /** How long it was. */
  seconds: number
  requests: Partial<Record<Operation, number>>
  /** By status, or by what there was instead of an answer. */
  statuses: Record<string, number>
  notSent: number
  latencyMs: Latencies | undefined
  checks: Record<Verdict, number>
  /** How long after a logout's answer the last target was asked, at most. */
  lastAskedMs: number | undefined
}

export interface OperationFigures {
  requests: number
  statuses: Record<string, number>
  /** Corrected for coordinated omission. */
  latencyMs: Latencies | undefined
  /** As measured, where that is something else. */
  measuredLatencyMs?: Latencies | undefined
  distribution: [percentile: number, ms: number][]
}

/** A token that was accepted after its logout had been answered 200. */
export interface Violation {
  /** Which token it was. */
  what: 'access token' | 'refresh token'
  /** When the logout was answered. */
  loggedOutAt: string
  loggedOutBy: string
  acceptedBy: string
  status: number
  askedAfterMs: number
  answeredAfterMs: number
}

export interface RevocationFigures {
  /** Logouts that were answered 200, each of which was checked. */
  logouts: number
  /** Those of them that were made while it loaded, and not when everybody left after that. */
  logoutsUnderLoad: number
  /** Those of them after which every target has refused every token. */
  refusedEverywhere: number
  /** How the requests with tokens that had ended were answered. */
  answers: Record<Verdict, number>
  /** Those of the requests that could not be sent: there was no connection to the target. */
  neverAsked: number
  /**
   * How long after a logout's answer the last target was asked, and had answered: the most and the median. Targets that
   * were never asked are left out.
   */
  lastAskedMs: { median: number, max: number } | undefined
  lastAnsweredMs: { median: number, max: number } | undefined
  /** Tokens that were asked about once more at the end. */
  askedAgain: { tokens: number, answers: Record<Verdict, number> }
  violationCount: number
  /** The first of them. */
  violations: Violation[]
}

export interface Report {
  version: string
  startedAt: string
  /** How long it loaded. */
  seconds: number
  endedBy: 'duration' | 'interruption'
  targets: string[]
  /** Whether they were started for this run. */
  ownReplicas: boolean
  profile: ProfileName
  profileDescription: string
  users: number
  mode: { kind: 'open', ratePerSecond: number } | { kind: 'closed' } | { kind: 'waves' }
  /** What was done about coordinated omission, for people. */
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
  /** How busy the program that loads was: near 1, it is what was measured. */
  generator: { cpuShare: number, eventLoopDelayP99Ms: number }
}
