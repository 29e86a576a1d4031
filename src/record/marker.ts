import { randomUUID } from 'node:crypto'

/** A place in the record of revocations: up to here, in that log. */
export interface LogPosition {
  /** Names the log. It gets another name when it loses its end. */
  logId: string
  /** 0 is before the first row. */
  position: number
}

/** The marker as it stands in Redis: "this holds every live row of that log up to this position". */
export function formatMarker ({ logId, position }: LogPosition): string {
  return `${logId}:${position}`
}

/** Undefined for a claim, and for whatever else is no marker: it says nothing of what is there. */
export function parseMarker (text: string | null | undefined): LogPosition | undefined {
  const [, logId, position] = /^([0-9a-f-]{36}):(\d{1,15})$/.exec(text ?? '') ?? []
  return logId === undefined ? undefined : { logId, position: Number(position) }
}

/** Up to which position the entries are there, by a marker of this log or by a claim; 0 where neither says. */
export function positionReached (text: string | null | undefined, logId: string | undefined): number {
  const marker = parseMarker(text)
  if (marker !== undefined) return marker.logId === logId ? marker.position : 0
  return Number(/^claim-.*:(\d{1,15})$/.exec(text ?? '')?.[1] ?? 0)
}

/**
 * What stands in the place of the marker while a replay is under way: whose it is, a name that nobody has used before, and how
 * far it has come. No look-up takes it for a marker.
 */
export function newClaim (logId: string): string {
  return `claim-${logId}/${randomUUID()}:0`
}

/** Whose record a marker or a claim is of; undefined for whatever else stands there. */
export function ownerOf (text: string | null | undefined): string | undefined {
  return parseMarker(text)?.logId ?? /^claim-([0-9a-f-]{36})\//.exec(text ?? '')?.[1]
}

/** The same claim, further on. */
export function advanceClaim (claim: string, position: number): string {
  return claim.replace(/\d+$/, String(position))
}
