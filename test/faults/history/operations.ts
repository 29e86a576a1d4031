/** What clients do: open a session, use a token, fetch new tokens, end something. */
export type Kind = 'sign-in' | 'request' | 'refresh' | 'ending'

/** One request and its answer, as its client saw it. Instants are milliseconds on the one clock of the run. */
export interface Operation {
  number: number
  kind: Kind
  /** As openapi.json has it: `DELETE /me/sessions/{id}`. */
  route: string
  client: string
  replica: string
  startedAt: number
  endedAt: number
  /** Undefined when the connection broke before there was an answer. */
  status: number | undefined
  /** The error code of an answer that has one; why there was no answer. */
  error: string | undefined
  /** The session of the token that was sent. */
  session?: string
  /** The `jti` of the access token that was sent. */
  token?: string
  /** A digest of the refresh token that was sent. */
  refreshToken?: string
  /** What was given. */
  issued?: { session: string, token: string, refreshToken: string }
  /** The sessions that have ended once this is answered with success. */
  ends: readonly string[]
}

/** From one instant to another. */
export interface Interval {
  from: number
  until: number
}

/** Something that was the matter with one replica, or with all of them. */
export interface Spell extends Interval {
  replica: string | 'all'
}

/** All that happened in a run. */
export interface History {
  operations: Operation[]
  /** When every replica was found to accept a good token again after the faults before it were healed. */
  recoveries: number[]
  /** When sessions ended, by the record, as far as they have. */
  endedOnRecord: Map<string, number>
  /** When a replica was not there: requests to it get no answer. */
  away: Spell[]
  /** When a replica, or the whole machine, stood still: what was under way took longer. */
  halts: Spell[]
  /** Replicas that ended though nobody had ended them, and the last that they said. */
  crashes: Array<{ replica: string, at: number, said: string }>
  /** When a replica could reach only a Redis that had been replaced. */
  partitions: Spell[]
}

export function emptyHistory (): History {
  return { operations: [], recoveries: [], endedOnRecord: new Map(), away: [], halts: [], crashes: [], partitions: [] }
}

/** `200`, `401 token_revoked`, or `no answer`. */
export function answerOf ({ status, error }: Pick<Operation, 'status' | 'error'>): string {
  if (status === undefined) return 'no answer'
  return error === undefined ? String(status) : `${status} ${error}`
}

/** Whether a token that was sent was accepted for what it was sent for. */
export function isAccepted ({ kind, status, session, ends }: Operation): boolean {
  if (status === undefined || status >= 300 || session === undefined) return false
  // To end one's own session again is no use of it: an ending that could not be confirmed is repeated, and must succeed
  // then.
  return kind === 'request' || kind === 'refresh' || (kind === 'ending' && !ends.includes(session))
}

/**
 * Whether an ending was confirmed. A refresh that finds its session ended, or its token used twice, says that the
 * session has ended, and for that it has to be visible to all.
 */
export function isConfirmedEnding ({ kind, status, error }: Operation): boolean {
  if (kind === 'ending') return status !== undefined && (status < 300 || error === 'refresh_token_reused')
  return kind === 'refresh' && (error === 'refresh_token_reused' || error === 'token_revoked')
}

/** One line for people. Instants count from the beginning of the run. */
export function describeOperation (operation: Operation): string {
  const { number, client, replica, route, startedAt, endedAt, session, token, refreshToken, issued, ends } = operation
  const short = (id: string) => id.slice(0, 8)
  const details = [
    session !== undefined && `session ${short(session)}`,
    token !== undefined && `token ${short(token)}`,
    refreshToken !== undefined && `refresh token ${short(refreshToken)}`,
    issued !== undefined &&
      `got session ${short(issued.session)}, token ${short(issued.token)}, refresh token ${short(issued.refreshToken)}`,
    ends.length > 0 && `to end ${ends.map(short).join(', ')}`
  ].filter(part => part !== false)
  return `#${number} ${(startedAt / 1000).toFixed(3)}–${(endedAt / 1000).toFixed(3)} s ${client} at ${replica}: ` +
    `${route} (${details.join('; ')}): ${answerOf(operation)}`
}
