/** The largest limit. No page has as many rows. */
const maxRows = 10_000

/**
 * Returns the number of rows that a query may return, for its LIMIT. Throws a RangeError unless it is a whole number
 * from 1 to 10,000. Drizzle leaves LIMIT out for a negative number, and the query would return the whole table.
 *
 * @example
 * db.select().from(users).limit(rowLimit(limit))
 */
export function rowLimit (rows: number): number {
  if (!Number.isInteger(rows) || rows < 1 || rows > maxRows) {
    throw new RangeError(`A query must be limited to between 1 and ${maxRows} rows, not to ${rows}.`)
  }
  return rows
}
