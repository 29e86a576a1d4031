import { SignoutError } from '../errors.ts'

/** One page of a list, and the cursor of the next page. */
export interface Page<T> {
  items: T[]
  /** Undefined on the last page. */
  nextCursor: string | undefined
}

/** A request for a page. */
export interface PageRequest {
  /** The cursor from the page before. Absent for the first page. */
  cursor?: string | undefined
  limit: number
}

/**
 * Creates a page from up to one item more than the limit. The further item shows that there is another page.
 *
 * @param position returns the position of an item in the list, as a text that `readCursor` returns later
 */
export function toPage<T> (found: T[], limit: number, position: (item: T) => string): Page<T> {
  const items = found.slice(0, limit)
  const last = items.at(-1)
  const hasMore = found.length > limit && last !== undefined
  return { items, nextCursor: hasMore ? encodeCursor(position(last)) : undefined }
}

function encodeCursor (position: string): string {
  return Buffer.from(position).toString('base64url')
}

/** Returns the position in a cursor, or undefined without one. Throws `invalid_request` if its form is wrong. */
export function readCursor (cursor: string | undefined, form: RegExp): string | undefined {
  if (cursor === undefined) return undefined
  const position = Buffer.from(cursor, 'base64url').toString()
  // Node ignores characters that are not base64url. Of the many spellings of a position only ours is accepted.
  if (!form.test(position) || encodeCursor(position) !== cursor) {
    throw new SignoutError('invalid_request', {
      details: [{ path: '/cursor', message: 'must be the next_cursor of a page' }]
    })
  }
  return position
}
