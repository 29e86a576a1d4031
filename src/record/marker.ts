import { randomUUID } from 'node:crypto'
import type { RecordPosition } from '../events/blocklist-events.ts'

export type { RecordPosition }

/** Returns the text of a marker. It means: this Redis holds every live row of that record up to this position. */
export function formatMarker ({ recordId, position }: RecordPosition): string {
  return `${recordId}:${position}`
}

/** Returns the position that a marker names. Returns undefined for a draft marker and for any other text. */
export function parseMarker (text: string | null | undefined): RecordPosition | undefined {
  const [, recordId, position] = /^([0-9a-f-]{36}):(\d{1,15})$/.exec(text ?? '') ?? []
  return recordId === undefined ? undefined : { recordId, position: Number(position) }
}

/**
 * Returns the position up to which Redis holds the entries, by a marker of this record or by a draft marker; otherwise
 * 0.
 */
export function positionReached (text: string | null | undefined, recordId: string | undefined): number {
  const marker = parseMarker(text)
  if (marker !== undefined) return marker.recordId === recordId ? marker.position : 0
  return Number(/^draft-.*:(\d{1,15})$/.exec(text ?? '')?.[1] ?? 0)
}

/**
 * Returns a new draft marker, which replaces the marker during a rebuild. It holds the id of the record, a random name,
 * and the position that was reached. No look-up takes it for a marker.
 */
export function newDraft (recordId: string): string {
  return `draft-${recordId}/${randomUUID()}:0`
}

/** Returns the id of the record that a marker or a draft marker belongs to. Returns undefined for any other text. */
export function ownerOf (text: string | null | undefined): string | undefined {
  return parseMarker(text)?.recordId ?? /^draft-([0-9a-f-]{36})\//.exec(text ?? '')?.[1]
}

/** Returns the draft marker with another position. */
export function advanceDraft (draft: string, position: number): string {
  return draft.replace(/\d+$/, String(position))
}

/** Returns the keys that stand in Redis beside the entries of a shard. */
export function projectionKeys (prefix: string): { marker: string, progress: string, note: string, doubt: string } {
  return { marker: `${prefix}marker`, progress: `${prefix}progress`, note: `${prefix}note`, doubt: `${prefix}doubt` }
}
