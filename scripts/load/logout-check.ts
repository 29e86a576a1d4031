import { createHistogram, recordLatency } from './histogram.ts'
import type { Exchange } from './http-client.ts'
import type { AccessToken, Session } from './people.ts'
import type { Recorder } from './recorder.ts'
import type { RevocationFigures, Verdict, Violation } from './report.ts'
import type { Target } from './targets.ts'

/** The largest number of violations that are kept. Further ones are only counted. */
const maxViolationsKept = 1_000
/** The largest number of tokens that are checked again at the end: the latest that have not expired. */
const maxAskedAgain = 500
/** The number of tokens that are checked again at the same time. */
const askedAgainAtOnce = 16

/** A logout that was answered 200. */
export interface Ended {
  sessions: Session[]
  target: Target
  /** The instant of the answer, by `performance.now()`. */
  answeredAt: number
}

export interface LogoutCheck {
  /**
   * Sends every revoked access token to every target at once, and each revoked refresh token to one target. Never
   * rejects.
   */
  check (ended: Ended): Promise<void>
  /** Ends the load: later checks are not counted as under load. */
  endLoad (): void
  /** Sends revoked access tokens to every target once more. A token that was refused must stay refused. */
  askAgain (signal: AbortSignal): Promise<void>
  readonly figures: RevocationFigures
}

export interface LogoutCheckOptions {
  targets: Target[]
  recorder: Pick<Recorder, 'recordCheck'>
  /** Called with each violation, at once. */
  onViolation: (violation: Violation) => void
}

interface Answer { verdict: Verdict, exchange: Exchange }

const noFigures = () => ({
  logouts: 0,
  logoutsUnderLoad: 0,
  refusedEverywhere: 0,
  answers: noAnswers(),
  neverAsked: 0,
  askedAgain: { tokens: 0, answers: noAnswers() },
  violationCount: 0,
  violations: [] as Violation[]
})

export function createLogoutCheck ({ targets, recorder, onViolation }: LogoutCheckOptions): LogoutCheck {
  const asked = createHistogram(3)
  const answered = createHistogram(3)
  const earlier: Ended[] = []
  let isLoadOver = false
  const figures = noFigures()

  async function ask (ended: Ended, what: Violation['what'], token: string, target: Target): Promise<Answer> {
    const exchange = await target.check.send(what === 'access token'
      ? { method: 'GET', path: '/token', token }
      : { method: 'POST', path: '/refresh', body: { refresh_token: token } })
    const verdict = judge(exchange)
    if (verdict === 'accepted') report(violationOf(ended, what, target, exchange))
    return { verdict, exchange }
  }

  function report (violation: Violation): void {
    figures.violationCount++
    if (figures.violations.length < maxViolationsKept) figures.violations.push(violation)
    onViolation(violation)
  }

  return {
    async check (ended) {
      const turn = figures.logouts++
      if (!isLoadOver) figures.logoutsUnderLoad++
      earlier.push(ended)
      if (earlier.length > maxAskedAgain) earlier.shift()
      const refreshTarget = targets[turn % targets.length] as Target
      const answers = await Promise.all(
        ended.sessions.flatMap(({ accessTokens, refreshToken }) => [
          ...accessTokens
            .filter(isUnexpired)
            .flatMap(({ token }) => targets.map(target => ask(ended, 'access token', token, target))),
          ask(ended, 'refresh token', refreshToken, refreshTarget)
        ])
      )
      for (const { verdict, exchange: { askedAt } } of answers) {
        figures.answers[verdict]++
        recorder.recordCheck(verdict, askedAt === undefined ? undefined : round(askedAt - ended.answeredAt))
      }
      if (answers.every(({ verdict }) => verdict === 'refused')) figures.refusedEverywhere++
      // A replica that could not be reached was not asked, regardless of how long that took.
      const askedAts = answers.flatMap(({ exchange: { askedAt } }) => askedAt ?? [])
      const answeredAts = answers.flatMap(({ exchange: { status, endedAt } }) => status === undefined ? [] : endedAt)
      figures.neverAsked += answers.length - askedAts.length
      if (askedAts.length > 0) recordLatency(asked, Math.max(...askedAts) - ended.answeredAt)
      if (answeredAts.length > 0) recordLatency(answered, Math.max(...answeredAts) - ended.answeredAt)
    },
    endLoad () { isLoadOver = true },
    async askAgain (signal) {
      const waiting = earlier
        .flatMap(ended => ended.sessions.map(({ accessTokens: [latest] }) => ({ ended, ...latest })))
        .filter(isUnexpired)
        .slice(-maxAskedAgain)
      await Promise.all(Array.from({ length: askedAgainAtOnce }, async () => {
        for (let next = waiting.pop(); next !== undefined && !signal.aborted; next = waiting.pop()) {
          const { ended, token } = next
          figures.askedAgain.tokens++
          const again = await Promise.all(targets.map(target => ask(ended, 'access token', token, target)))
          for (const { verdict } of again) figures.askedAgain.answers[verdict]++
        }
      }))
    },
    get figures () {
      return { ...figures, lastAskedMs: spanOf(asked), lastAnsweredMs: spanOf(answered) }
    }
  }
}

function violationOf (
  ended: Ended, what: Violation['what'], target: Target, { status = 0, endedAt, askedAt = endedAt }: Exchange
): Violation {
  return {
    what,
    loggedOutAt: new Date(performance.timeOrigin + ended.answeredAt).toISOString(),
    loggedOutBy: ended.target.name,
    acceptedBy: target.name,
    status,
    askedAfterMs: round(askedAt - ended.answeredAt),
    answeredAfterMs: round(endedAt - ended.answeredAt)
  }
}

/** Returns true if a token has not expired. The answer to an expired token shows nothing. */
function isUnexpired ({ expiresAt }: Pick<AccessToken, 'expiresAt'>): boolean {
  return performance.now() < expiresAt
}

/**
 * Returns the verdict on an answer. Other answers than a 2xx and the refusal of a revoked token prove nothing: the
 * token may have expired.
 */
function judge ({ status, error }: Exchange): Verdict {
  if (status !== undefined && status >= 200 && status < 300) return 'accepted'
  if (status === 503) return 'unavailable'
  return status === 401 && (error === 'token_revoked' || error === 'refresh_token_reused') ? 'refused' : 'inconclusive'
}

function noAnswers (): Record<Verdict, number> {
  return { refused: 0, accepted: 0, unavailable: 0, inconclusive: 0 }
}

function spanOf (histogram: ReturnType<typeof createHistogram>): { median: number, max: number } | undefined {
  if (histogram.totalCount === 0) return undefined
  return { median: histogram.getValueAtPercentile(50) / 1000, max: histogram.maxValue / 1000 }
}

function round (ms: number): number {
  return Math.round(ms * 1000) / 1000
}
