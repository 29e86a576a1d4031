import { isContention } from '../db/database-errors.ts'
import { RecordedError } from '../trust/trust.ts'
import type { EventLogger } from './event-logger.ts'
import type { UnavailableCause } from './unavailable.ts'

/** Everything that can fail for a while: a server, the capacity to check passwords, or the key that signs. */
export type OutageSubject = 'redis' | 'postgres' | 'passwords' | 'signing_key'

const messages: Record<OutageSubject, { began: string, ended: string }> = {
  redis: {
    began: 'Redis is unavailable. Requests with a token get 503 until it is back.',
    ended: 'Redis is back.'
  },
  postgres: {
    began: 'Postgres is unavailable. Logins, refreshes and logouts get 503 until it is back.',
    ended: 'Postgres is back.'
  },
  passwords: {
    began: 'Too many passwords wait to be checked. Logins get 503 until fewer do.',
    ended: 'Passwords are checked within their time again.'
  },
  signing_key: {
    began: 'The signing key cannot be used. Logins and refreshes get 503 until it can.',
    ended: 'The signing key can be used again.'
  }
}

const subjects: Partial<Record<UnavailableCause, OutageSubject>> = {
  blocklist_timeout: 'redis',
  blocklist_unreachable: 'redis',
  blocklist_breaker_open: 'redis',
  database: 'postgres',
  password_queue: 'passwords'
}

/** The causes of a 503 that begin and end with lines of their own, which the blocklist writes. */
const loggedElsewhere: UnavailableCause[] = ['blocklist_rebuilding', 'blocklist_untrusted', 'clocks', 'not_ready']

/**
 * Logs an outage in two lines: one when it begins, and one when it ends, with its duration and the number of requests
 * that got 503. Metrics count the requests meanwhile.
 */
export interface Outages {
  /** Reports a failure. The first one begins an outage. */
  failed (subject: OutageSubject, error: unknown): void
  /** Counts a request that got 503. Returns false if no line explains it, so that the caller has to log it. */
  refused (cause: UnavailableCause, error: unknown): boolean
  /** Returns true during an outage. Other lines about it have the level `debug` then. */
  isOn (subject: OutageSubject): boolean
  /** Sets the function that resolves if the subject can be used again. It must settle within a bound. */
  watch (subject: OutageSubject, ask: () => Promise<unknown>): void
  /** Stops looking for the end of outages. */
  stop (): void
}

interface Outage { beganAt: number, failedAt: number, requests: number, isAsked: boolean }

/** An outage is over after so many milliseconds without a failure, if the subject can be used again. */
const quietMs = 3_000
const lookEveryMs = 500

export function createOutages (log: Pick<EventLogger, 'info' | 'error'>): Outages {
  const outages = new Map<OutageSubject, Outage>()
  const questions = new Map<OutageSubject, () => Promise<unknown>>()
  let timer: NodeJS.Timeout | undefined
  let isStopped = false

  function begin (subject: OutageSubject, error: unknown): Outage {
    const now = performance.now()
    let outage = outages.get(subject)
    if (outage === undefined) {
      outage = { beganAt: now, failedAt: now, requests: 0, isAsked: false }
      outages.set(subject, outage)
      log.error({ outage: subject, reason: reasonOf(error) }, messages[subject].began)
      if (!isStopped) timer ??= setInterval(look, lookEveryMs).unref()
    }
    outage.failedAt = now
    return outage
  }

  function look (): void {
    for (const [subject, outage] of outages) {
      if (outage.isAsked || performance.now() - outage.failedAt < quietMs) continue
      outage.isAsked = true
      const askedAt = performance.now()
      Promise.resolve(questions.get(subject)?.()).then(() => {
        if (outage.failedAt <= askedAt) end(subject, outage)
      }, () => {}).finally(() => { outage.isAsked = false })
    }
  }

  function end (subject: OutageSubject, { beganAt, requests }: Outage): void {
    outages.delete(subject)
    const seconds = Math.round((performance.now() - beganAt) / 100) / 10
    log.info({ outage: subject, seconds, requests }, messages[subject].ended)
    if (outages.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    failed (subject, error) { if (!isContention(error)) begin(subject, error) },
    refused (cause, error) {
      const subject = subjects[cause]
      if (subject === undefined) return loggedElsewhere.includes(cause)
      if (isContention(error)) return false
      // Redis works. That it refuses writes, or lacks a revocation, is logged as a blocklist that is behind.
      if (subject === 'redis' && isAnswer(error)) return true
      begin(subject, error).requests++
      return true
    },
    isOn: subject => outages.has(subject),
    watch (subject, ask) { questions.set(subject, ask) },
    stop () {
      isStopped = true
      clearInterval(timer)
    }
  }
}

/** Returns true for an error that is not the lack of an answer: Redis refused a command, or lacks a revocation. */
function isAnswer (error: unknown): boolean {
  return error instanceof RecordedError || (error instanceof Error && error.name === 'ReplyError')
}

function reasonOf (error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
