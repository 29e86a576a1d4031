import { SignoutError } from '../errors.ts'

/** One page of a list, and what to ask the next one with. */
export interface Page<T> {
  items: T[]
  /** Undefined on the last page. */
  nextCursor: string | undefined
}

/** What is asked for of a list. */
export interface PageRequest {
  /** From the page before; the first page when it is left out. */
  cursor?: string | undefined
  limit: number
}

/**
 * Makes a page of up to one item more than the limit: that one says that there is another page.
 *
 * @param position where an item stands in the list, in a text that `readCursor` gives back
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

/** The position in a cursor. Throws `invalid_request` when it is none of ours. */
export function readCursor (cursor: string | undefined, form: RegExp): string | undefined {
  if (cursor === undefined) return undefined
  const position = Buffer.from(cursor, 'base64url').toString()
  // Node ignores what is no base64url: of its many spellings only ours is accepted.
  if (!form.test(position) || encodeCursor(position) !== cursor) {
    throw new SignoutError('invalid_request', {
      details: [{ path: '/cursor', message: 'must be the next_cursor of a page' }]
    })
  }
  return position
}
