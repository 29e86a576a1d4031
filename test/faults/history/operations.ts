/** The kinds of acts of a client: open a session, use a token, fetch new tokens, end something. */
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
  /** Undefined if the connection broke before there was an answer. */
  status: number | undefined
  /** The error code of the answer, if it has one, or the reason why there was no answer. */
  error: string | undefined
  /** The difference between the answer and openapi.json, in words; undefined if there is none. */
  breach?: string
  /** The session of the token that was sent. */
  session?: string
  /** The `jti` of the access token that was sent, and the `kid` of the key that signed it. */
  token?: string
  kid?: string
  /** A digest of the refresh token that was sent. */
  refreshToken?: string
  /** The new session and tokens, if there are any. */
  issued?: { session: string, token: string, refreshToken: string }
  /** The sessions that have ended once this is answered with success. */
  ends: readonly string[]
  /** Whose other sessions may end too: those of every client or of one, also sessions that are being opened. */
  alsoEnds?: 'everyone' | { client: string }
  /** The `kid` of the key that is compromised once this is answered with success. */
  compromises?: string
}

/** An interval from one instant to another. */
export interface Interval {
  from: number
  until: number
}

/** An interval in which one replica, or all of them, had a problem. */
export interface Spell extends Interval {
  replica: string | 'all'
}

/** Adds a spell that has no end yet. */
export function beginSpell (spells: Spell[], replica: Spell['replica'], from: number): Spell {
  const spell = { replica, from, until: Infinity }
  spells.push(spell)
  return spell
}

/** Everything that happened in a run. */
export interface History {
  operations: Operation[]
  /** When every replica accepted a good token again, after all faults before that were healed. */
  recoveries: number[]
  /** When sessions ended, by the record. Sessions that have not ended are missing. */
  endedOnRecord: Map<string, number>
  /** When a replica was down: requests to it get no answer. */
  away: Spell[]
  /** When a replica, or the whole machine, was stalled: requests took longer. */
  halts: Spell[]
  /** Replicas that ended although the run had not ended them, with their last output. */
  crashes: Array<{ replica: string, at: number, said: string }>
  /** When a replica could reach only a Redis that had been replaced. */
  partitions: Spell[]
}

export function emptyHistory (): History {
  return { operations: [], recoveries: [], endedOnRecord: new Map(), away: [], halts: [], crashes: [], partitions: [] }
}

/** Returns `200`, `401 token_revoked`, or `no answer`. */
export function answerOf ({ status, error }: Pick<Operation, 'status' | 'error'>): string {
  if (status === undefined) return 'no answer'
  return error === undefined ? String(status) : `${status} ${error}`
}

/** Returns true if a token was accepted for the purpose for which it was sent. */
export function wasAccepted ({ kind, status, session, ends }: Operation): boolean {
  if (status === undefined || status >= 300 || session === undefined) return false
  // To end a session again with its own token does not use it. An ending that was not confirmed is repeated, and must
  // then succeed.
  return kind === 'request' || kind === 'refresh' || (kind === 'ending' && !ends.includes(session))
}

/**
 * Returns true if an ending was confirmed. A refresh may find that its session has ended, or that its token was used
 * twice. Its answer says that the session has ended, so all replicas must see that.
 */
export function isConfirmedEnding ({ kind, status, error }: Operation): boolean {
  if (kind === 'ending') return status !== undefined && (status < 300 || error === 'refresh_token_reused')
  return kind === 'refresh' && (error === 'refresh_token_reused' || error === 'token_revoked')
}

/** Returns a line for people. Instants count from the beginning of the run. */
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
