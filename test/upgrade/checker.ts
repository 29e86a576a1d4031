import {
  findSuperseded, findViolations, violationKinds, type Deadlines, type Violation
} from '../faults/history/checker.ts'
import { answerOf, type History, type Operation } from '../faults/history/operations.ts'

/** The kinds of violations in an upgrade, each with what must never be in a history. */
export const upgradeViolationKinds = {
  ...violationKinds,
  'good refused': 'a good token or a right password is refused otherwise than with 503',
  unanswered: 'a request gets no answer, although no replica is stopped before it gets no more requests',
  unavailable:
    'an answer is 503, although the replica knows the format and no other replica has just deleted the marker',
  'format overlooked': 'a replica accepts an access token although it does not know the format of the record',
  'not started': 'a replica does not start, or does not become ready',
  'not shared': 'a replica of one build does not accept, refuse or count what a replica of the other build has made'
} as const
export type UpgradeViolation = Violation<keyof typeof upgradeViolationKinds>

/** The history of an upgrade. */
export interface UpgradeHistory extends History {
  /** Replicas that do not know the format: from when a replica of a later format starts, and from when it is ready. */
  outdated: Array<{ replica: string, from: number, knownFrom: number }>
}

/** Finds everything in the history of an upgrade that breaks a promise. */
export function findUpgradeViolations (history: UpgradeHistory, bounds: Deadlines): UpgradeViolation[] {
  return [
    ...findViolations(history, bounds),
    ...findGoodRefused(history),
    ...history.operations.filter(({ status }) => status === undefined).map((operation): UpgradeViolation =>
      ({ kind: 'unanswered', text: answerOf(operation), operations: [operation] })),
    ...findUnavailable(history),
    ...findOverlooked(history)
  ]
}

/**
 * Finds refusals of good tokens. A token is good unless a request that may end it was sent before the refusal was
 * answered. It does not matter whether such a request succeeded.
 */
function findGoodRefused (history: History): UpgradeViolation[] {
  const mayBeRevoked = createSuspicion(history, beganBefore)
  return history.operations.flatMap((operation): UpgradeViolation[] => {
    const { status, error, session, kind, route } = operation
    const isRefusal = status === 401 || status === 403
    if (isRefusal && session !== undefined && error !== 'token_expired' && !mayBeRevoked(operation)) {
      return [{ kind: 'good refused', text: `${answerOf(operation)} for a good token`, operations: [operation] }]
    }
    // Wrong passwords are sent as requests of another kind.
    if (route === 'POST /login' && kind !== 'request' && (isRefusal || status === 429)) {
      return [{ kind: 'good refused', text: `${answerOf(operation)} for a right password`, operations: [operation] }]
    }
    return []
  })
}

/** Returns true if an ending may have come before an operation, or at the same time. */
type Precedes = (ending: Operation, operation: Operation) => boolean
const beganBefore: Precedes = (ending, operation) => ending.startedAt < operation.endedAt
const overlapped: Precedes = (ending, operation) =>
  beganBefore(ending, operation) && operation.startedAt < ending.endedAt

/** Returns a function that returns true if the tokens of an operation may have been revoked by what preceded it. */
function createSuspicion (history: History, precedes: Precedes): (operation: Operation) => boolean {
  const { operations } = history
  const openings = new Map<string, Operation>()
  for (const operation of operations) {
    const session = operation.issued?.session
    if (session !== undefined && !openings.has(session)) openings.set(session, operation)
  }
  const superseded = findSuperseded(history)
  const uses = operations.filter(({ refreshToken }) => refreshToken !== undefined)

  /** Returns true if a refresh token was sent before, or was superseded: its session may end then. */
  function mayBeReused (operation: Operation): boolean {
    const { number, refreshToken } = operation
    if (refreshToken === undefined) return false
    return uses.some(use => use.refreshToken === refreshToken && use.number !== number && precedes(use, operation)) ||
      superseded.some(({ first, second }) => first.issued?.refreshToken === refreshToken && precedes(second, operation))
  }

  const endings = operations.filter(({ kind, ends, alsoEnds }) =>
    kind !== 'sign-in' && (ends.length > 0 || alsoEnds !== undefined))
    .filter(operation => operation.kind !== 'refresh' || mayBeReused(operation))
  const compromises = operations.filter(({ compromises }) => compromises !== undefined)

  return operation => {
    const { number, session = '', token, kid } = operation
    const opening = openings.get(session)
    return mayBeReused(operation) ||
      endings.some(ending => ending.number !== number && precedes(ending, operation) && (
        ending.ends.includes(session) || (opening !== undefined && reaches(ending, opening)))) ||
      compromises.some(other => other.compromises === kid && precedes(other, operation)) ||
      superseded.some(({ first, second }) => first.issued?.token === token && precedes(second, operation))
  }
}

/** Returns true if an ending may end a session that its client did not know yet. */
function reaches ({ alsoEnds, endedAt }: Operation, opening: Operation): boolean {
  if (alsoEnds === undefined || opening.startedAt > endedAt) return false
  return alsoEnds === 'everyone' || alsoEnds.client === opening.client
}

/** The longest time in which the marker is written again after a replica that does not know the format deleted it. */
const rebuiltWithinMs = 5_000

/**
 * Finds answers with 503. There are three reasons for them:
 *
 * - A replica that does not know the format may give them.
 * - It deletes the marker of any other format when it writes a revocation of a key or of everyone. A logout of a
 *   session that is over for that reason writes one again. The replicas that know the format then answer 503 until the
 *   projector has written the marker again.
 * - A replica that has read a revocation which is not in force everywhere yet answers 503, so while its request lasts.
 */
function findUnavailable (history: UpgradeHistory): UpgradeViolation[] {
  const { operations, outdated } = history
  const isEnding = createSuspicion(history, overlapped)
  const isOutdated = ({ replica, endedAt }: Operation) =>
    outdated.some(one => one.replica === replica && one.from < endedAt)
  const deletions = operations.filter(operation => isOutdated(operation) && !operation.route.startsWith('GET '))
  return operations
    .filter(operation => operation.status === 503 && !isOutdated(operation) && !deletions.some(deletion =>
      deletion.startedAt < operation.endedAt && operation.startedAt < deletion.endedAt + rebuiltWithinMs))
    .filter(operation => !isEnding(operation))
    .map(operation => ({
      kind: 'unavailable',
      text: answerOf(operation),
      // Also the acts of the operator at that time, which may have to do with it.
      operations: [operation, ...operations.filter(other => other.kind === 'ending' && overlapped(other, operation))]
    }))
}

/**
 * Finds access tokens that were accepted by a replica that does not know the format. Only the blocklist decides about a
 * GET request. Endings, and acts of administrators, are decided by the record.
 */
function findOverlooked ({ operations, outdated }: UpgradeHistory): UpgradeViolation[] {
  return operations
    .filter(({ route, status, token, replica, startedAt }) =>
      route.startsWith('GET ') && token !== undefined && status === 200 &&
      outdated.some(one => one.replica === replica && one.knownFrom < startedAt))
    .map(operation => ({ kind: 'format overlooked', text: answerOf(operation), operations: [operation] }))
}
