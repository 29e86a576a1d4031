import { randomUUID } from 'node:crypto'
import type { RecordPosition } from '../events/blocklist-events.ts'

export type { RecordPosition }

/** The marker as it stands in Redis: "this holds every live row of that record up to this position". */
export function formatMarker ({ recordId, position }: RecordPosition): string {
  return `${recordId}:${position}`
}

/** Undefined for a draft, and for whatever else is no marker: it says nothing of what is there. */
export function parseMarker (text: string | null | undefined): RecordPosition | undefined {
  const [, recordId, position] = /^([0-9a-f-]{36}):(\d{1,15})$/.exec(text ?? '') ?? []
  return recordId === undefined ? undefined : { recordId, position: Number(position) }
}

/** Up to which position the entries are there, by a marker of this record or by a draft; 0 where neither says. */
export function positionReached (text: string | null | undefined, recordId: string | undefined): number {
  const marker = parseMarker(text)
  if (marker !== undefined) return marker.recordId === recordId ? marker.position : 0
  return Number(/^draft-.*:(\d{1,15})$/.exec(text ?? '')?.[1] ?? 0)
}

/**
 * What stands in the place of the marker while a rebuild is under way: whose it is, a name that nobody has used before,
 * and how far it has come. No look-up takes it for a marker.
 */
export function newDraft (recordId: string): string {
  return `draft-${recordId}/${randomUUID()}:0`
}

/** Whose record a marker or a draft is of; undefined for whatever else stands there. */
export function ownerOf (text: string | null | undefined): string | undefined {
  return parseMarker(text)?.recordId ?? /^draft-([0-9a-f-]{36})\//.exec(text ?? '')?.[1]
}

/** The same draft, further on. */
export function advanceDraft (draft: string, position: number): string {
  return draft.replace(/\d+$/, String(position))
}

/** Returns the keys that stand in Redis beside the entries of a shard. */
export function projectionKeys (prefix: string): { marker: string, progress: string, note: string, doubt: string } {
  return { marker: `${prefix}marker`, progress: `${prefix}progress`, note: `${prefix}note`, doubt: `${prefix}doubt` }
}
