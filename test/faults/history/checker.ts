import { describeUndocumented, isDocumented } from './documented.ts'
import { answerOf, wasAccepted, isConfirmedEnding, type History, type Operation, type Spell } from './operations.ts'

/** The kinds of violations, each with what must never be in a history. */
export const violationKinds = {
  'accepted after its end':
    'a token is accepted by a request that starts after the end of its session was confirmed',
  'accepted after refused':
    'a token is accepted by a request that starts after another request with it got 401 token_revoked',
  'accepted with a compromised key':
    'a token is accepted by a request that starts after the end of its signing key was confirmed',
  'accepted against the record':
    'a token is accepted more than 5 s after the recovery, although its session had ended in the record before that',
  'two successors': 'one refresh token gets two different successors',
  'not documented': 'an answer is not in openapi.json, is a 500, or is missing although the replica was running',
  crashed: 'the process of a replica exits unexpectedly',
  'too slow': 'an answer comes later than the deadlines allow, plus a margin for a busy machine',
  'no recovery': 'a good token is not accepted again within 20 s after all faults have ended'
} as const
export type ViolationKind = keyof typeof violationKinds

export interface Violation<Kind extends string = ViolationKind> {
  kind: Kind
  text: string
  /** The operation that must not happen, and the one that it contradicts. */
  operations: Operation[]
}

export interface Deadlines {
  /** The deadlines of one question to the blocklist, and of one to the database. */
  blocklistDeadlineMs: number
  databaseDeadlineMs: number
  /** The extra time for an answer, in milliseconds: a busy machine takes it for everything else. */
  marginMs: number
}

/** The longest time until a recorded revocation is in effect, once all faults were healed. */
const inEffectWithinMs = 5_000
/** The longest time for which a replica may trust a Redis that was replaced. */
const partitionTrustMs = 5_000

/** Finds everything in a history that breaks a promise. It does not use how the service works. */
export function findViolations (history: History, bounds: Deadlines): Violation[] {
  return [
    ...history.crashes.map(({ replica, at, said }): Violation => ({
      kind: 'crashed', text: `${replica} ended after ${(at / 1000).toFixed(3)} s, and had said: ${said}`, operations: []
    })),
    ...findAcceptedAfterEnd(history),
    ...findAcceptedAfterRefusal(history),
    ...findAcceptedWithCompromisedKey(history),
    ...findAcceptedAgainstRecord(history),
    ...findTwoSuccessors(history),
    ...findUndocumented(history),
    ...findSlow(history, bounds)
  ]
}

/** Returns the operation that ended first, for each key. */
function firstToEnd (
  operations: Operation[], keysOf: (operation: Operation) => ReadonlyArray<string | undefined>
): Map<string, Operation> {
  const first = new Map<string, Operation>()
  for (const operation of operations) {
    for (const key of keysOf(operation)) {
      if (key !== undefined && operation.endedAt < (first.get(key)?.endedAt ?? Infinity)) first.set(key, operation)
    }
  }
  return first
}

function overlaps ({ from, until }: Spell, { startedAt, endedAt }: Operation): boolean {
  return from <= endedAt && startedAt <= until
}

const isOf = (spell: Spell, operation: Operation) => spell.replica === 'all' || spell.replica === operation.replica

/**
 * Returns true if a partition excuses an operation. A replica that reaches only a Redis that was replaced cannot know
 * better for a while. The other replicas do not see what it has written there, until the projector writes that.
 */
function isExcused ({ partitions }: History, operation: Operation, because: Operation): boolean {
  const isPartitioned = (one: Operation) => partitions.some(spell => isOf(spell, one) && overlaps(spell, one))
  return (
    operation.startedAt <= because.endedAt + partitionTrustMs && (isPartitioned(operation) || isPartitioned(because))
  )
}

function findAcceptedAfterEnd (history: History): Violation[] {
  const endings = firstToEnd(history.operations.filter(isConfirmedEnding), ({ ends }) => ends)
  return history.operations.filter(wasAccepted).flatMap(operation => {
    const ending = endings.get(operation.session ?? '')
    if (
      ending === undefined ||
      ending === operation ||
      operation.startedAt <= ending.endedAt ||
      isExcused(history, operation, ending)
    ) { return [] }
    return [
      {
        kind: 'accepted after its end',
        text:
          `${answerOf(operation)} ${Math.round(operation.startedAt - ending.endedAt)} ms after its session had ended`,
        operations: [ending, operation]
      }
    ]
  })
}

function findAcceptedAfterRefusal (history: History): Violation[] {
  const refusals = firstToEnd(
    history.operations.filter(({ error }) => error === 'token_revoked' || error === 'refresh_token_reused'),
    ({ token, refreshToken }) => [token, refreshToken]
  )
  return history.operations.filter(wasAccepted).flatMap(operation => {
    const refusal = refusals.get(operation.token ?? operation.refreshToken ?? '')
    if (refusal === undefined || operation.startedAt <= refusal.endedAt || isExcused(history, operation, refusal)) {
      return []
    }
    return [
      {
        kind: 'accepted after refused',
        text:
          `${answerOf(operation)} ${Math.round(operation.startedAt - refusal.endedAt)} ms after ${answerOf(refusal)}`,
        operations: [refusal, operation]
      }
    ]
  })
}

function findAcceptedWithCompromisedKey (history: History): Violation[] {
  const ends = firstToEnd(
    history.operations.filter(({ compromises, status }) => compromises !== undefined && status === 200),
    ({ compromises }) => [compromises]
  )
  return history.operations.filter(wasAccepted).flatMap(operation => {
    const end = ends.get(operation.kid ?? '')
    if (end === undefined || operation.startedAt <= end.endedAt || isExcused(history, operation, end)) return []
    return [{
      kind: 'accepted with a compromised key',
      text: `${answerOf(operation)} ${Math.round(operation.startedAt - end.endedAt)} ms after its key had ended`,
      operations: [end, operation]
    }]
  })
}

function findAcceptedAgainstRecord (history: History): Violation[] {
  return history.operations.filter(wasAccepted).flatMap(operation => {
    const endedAt = history.endedOnRecord.get(operation.session ?? '')
    if (endedAt === undefined) return []
    const recoveredAt = history.recoveries.find(at => at >= endedAt)
    if (recoveredAt === undefined || operation.startedAt <= recoveredAt + inEffectWithinMs) return []
    return [
      {
        kind: 'accepted against the record',
        text:
          `${answerOf(operation)} ${Math.round(operation.startedAt - recoveredAt)} ms after the recovery, though its session had ended before that`,
        operations: [operation]
      }
    ]
  })
}

/**
 * Finds a refresh token with two successors of which the first is accepted after the second was answered. The second
 * supersedes the first, so at most one of two holders can go on. The answer to a refresh claims nothing of the first
 * access token: if the blocklist cannot be written, its revocation takes effect a little later.
 */
function findTwoSuccessors (history: History): Violation[] {
  return findSuperseded(history).flatMap(({ first, second }) =>
    history.operations.filter(wasAccepted).flatMap((operation): Violation[] => {
      const isLate = operation.refreshToken === first.issued?.refreshToken
        ? operation.startedAt > second.endedAt
        : operation.token === first.issued?.token && operation.startedAt > second.endedAt + inEffectWithinMs
      if (!isLate || isExcused(history, operation, second)) return []
      const text = 'one refresh token, and two that follow it are accepted'
      return [{ kind: 'two successors', text, operations: [first, second, operation] }]
    }))
}

/** Finds each refresh whose pair was superseded, with the refresh that superseded it. */
export function findSuperseded (history: History): Array<{ first: Operation, second: Operation }> {
  const refreshes = history.operations.filter(({ kind, issued }) => kind === 'refresh' && issued !== undefined)
  return refreshes.flatMap(second =>
    refreshes.filter(first => first.refreshToken === second.refreshToken && isSuperseded(first, second))
      .map(first => ({ first, second })))
}

/** Returns true if a refresh got another successor, after an earlier one of the same token was answered. */
function isSuperseded (first: Operation, second: Operation): boolean {
  return first.endedAt < second.startedAt && first.issued?.refreshToken !== second.issued?.refreshToken
}

function findUndocumented ({ operations, away }: History): Violation[] {
  return operations.flatMap(operation => {
    if (operation.status === undefined) {
      if (away.some(spell => isOf(spell, operation) && overlaps(spell, operation))) return []
      return [
        {
          kind: 'not documented',
          text: `no answer (${operation.error}) from a replica that was there`,
          operations: [operation]
        }
      ]
    }
    const text = isDocumented(operation) ? operation.breach : describeUndocumented(operation)
    return text === undefined ? [] : [{ kind: 'not documented', text, operations: [operation] }]
  })
}

function findSlow ({ operations, away, halts }: History, bounds: Deadlines): Violation[] {
  const spells = [...away, ...halts]
  return operations.flatMap(operation => {
    const allowedMs = allowanceOf(operation, bounds)
    const tookMs = operation.endedAt - operation.startedAt
    if (tookMs <= allowedMs) return []
    const stoodStillMs = spells
      .filter(spell => isOf(spell, operation) && overlaps(spell, operation))
      .reduce(
        (sum, { from, until }) => sum + Math.min(until, operation.endedAt) - Math.max(from, operation.startedAt),
        0
      )
    if (tookMs - stoodStillMs <= allowedMs) return []
    return [
      {
        kind: 'too slow',
        text:
          `${Math.round(tookMs)} ms, of which nothing explains more than ${Math.round(allowedMs + stoodStillMs)} ms`,
        operations: [operation]
      }
    ]
  })
}

/**
 * Returns the longest time for an operation, in milliseconds. GET /token asks only the blocklist. The others ask the
 * blocklist at most twice, and the database until it first fails to answer. That is a wait for a connection, one
 * statement, and one more if the blocklist did not answer.
 */
function allowanceOf ({ route }: Operation, { blocklistDeadlineMs, databaseDeadlineMs, marginMs }: Deadlines): number {
  return marginMs + (route === 'GET /token' ? blocklistDeadlineMs : 2 * blocklistDeadlineMs + 3 * databaseDeadlineMs)
}
