import { randomUUID } from 'node:crypto'
import type { RecordPosition } from '../events/blocklist-events.ts'

export type { RecordPosition }

/**
 * The number of the format in which the record and the blocklist are written. It stands in every marker and in the
 * record. It becomes another one when there are revocations that earlier versions cannot read. A version that finds an
 * unknown number refuses every token (503): otherwise it would overlook revocations. 1 had no number in its markers,
 * and no revocations of keys or of everyone.
 */
export const recordFormat = 2

/** The beginning of every marker of this format. */
export const markerStart = `v${recordFormat}:`

const uuid = '[0-9a-f-]{36}'
const markerForm = new RegExp(`^${markerStart}(${uuid}):(\\d{1,15})$`)
const draftForm = new RegExp(`^draft-${markerStart}(${uuid})/.*:(\\d{1,15})$`)
/** A marker or a draft marker of any format. */
const anyForm = new RegExp(`^(?:draft-)?(?:v\\d{1,9}:)?(${uuid})[:/]`)

/** Returns the text of a marker. It means: this Redis holds every live row of that record up to this position. */
export function formatMarker ({ recordId, position }: RecordPosition): string {
  return `${markerStart}${recordId}:${position}`
}

/**
 * Returns the position that a marker names. Returns undefined for a draft marker, for a marker of another format, and
 * for any other text.
 */
export function parseMarker (text: string | null | undefined): RecordPosition | undefined {
  const [, recordId, position] = markerForm.exec(text ?? '') ?? []
  return recordId === undefined ? undefined : { recordId, position: Number(position) }
}

/** Returns the number of an unknown format in which a marker is written; undefined for any other text. */
export function unknownFormat (text: string | null | undefined): number | undefined {
  const format = /^(?:draft-)?v(\d{1,9}):/.exec(text ?? '')?.[1]
  return format === undefined || Number(format) === recordFormat ? undefined : Number(format)
}

/**
 * Returns the position up to which Redis holds the entries, by a marker of this record or by a draft marker; otherwise
 * 0.
 */
export function positionReached (text: string | null | undefined, recordId: string | undefined): number {
  const marker = parseMarker(text)
  if (marker !== undefined) return marker.recordId === recordId ? marker.position : 0
  return Number(draftForm.exec(text ?? '')?.[2] ?? 0)
}

/**
 * Returns a new draft marker, which replaces the marker during a rebuild. It holds the id of the record, a random name,
 * and the position that was reached. No look-up takes it for a marker.
 */
export function newDraft (recordId: string): string {
  return `draft-${markerStart}${recordId}/${randomUUID()}:0`
}

/**
 * Returns the id of the record that a marker or a draft marker of any format belongs to. Returns undefined for any
 * other text.
 */
export function ownerOf (text: string | null | undefined): string | undefined {
  return anyForm.exec(text ?? '')?.[1]
}

/** Returns the draft marker with another position. */
export function advanceDraft (draft: string, position: number): string {
  return draft.replace(/\d+$/, String(position))
}

/** Returns the keys that stand in Redis beside the entries of a shard. */
export function projectionKeys (prefix: string): { marker: string, progress: string, note: string, doubt: string } {
  return { marker: `${prefix}marker`, progress: `${prefix}progress`, note: `${prefix}note`, doubt: `${prefix}doubt` }
}
