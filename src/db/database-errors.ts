import { DrizzleQueryError } from 'drizzle-orm/errors'
import { SignoutError } from '../errors.ts'

/**
 * SQLSTATE classes, and single codes, that say that the database cannot answer now, not that the query is wrong:
 * connection exception (08), deadlock and serialization failure (40), authorization (28), unknown database (3D),
 * read-only after a failover (25006), idle in a transaction for too long (25P03), insufficient resources (53), lock not
 * available (55P03), operator intervention, statement timeout included (57), system error (58).
 */
const unavailable = /^(08|28|3D|40|53|57|58|25006|25P03|55P03)/

/** Five characters with a digit among them, to tell them from the codes of the system, such as EPIPE. */
const sqlStateForm = /^(?=.*\d)[0-9A-Z]{5}$/

/** The database refused a query: a defect of ours. Says which rule was broken, and never with which values. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError'
  readonly sqlState: string

  constructor (sqlState: string, constraint: string | undefined) {
    super(
      `The database refused a query with SQLSTATE ${sqlState}${constraint === undefined ? '' : ` (${constraint})`}.`
    )
    this.sqlState = sqlState
  }
}

/** Nothing came of asking the database. */
export class DatabaseUnreachableError extends Error {
  override readonly name = 'DatabaseUnreachableError'
}

/**
 * Translates what the driver threw. Drizzle's errors carry the query's parameters in their message, and the driver's
 * carry values in theirs: password hashes and usernames. Neither may reach a log or an answer, so only the SQLSTATE
 * and the name of the constraint go on.
 */
export function toDatabaseError (error: unknown): unknown {
  if (!(error instanceof DrizzleQueryError)) return error
  const cause = error.cause as { code?: unknown, constraint?: string, message?: string } | undefined
  const sqlState = typeof cause?.code === 'string' && sqlStateForm.test(cause.code) ? cause.code : undefined
  if (sqlState === undefined) {
    return new SignoutError('service_unavailable', {
      cause: new DatabaseUnreachableError(`The database cannot be reached: ${cause?.message ?? 'no reason given'}`)
    })
  }
  const refused = new DatabaseError(sqlState, cause?.constraint)
  return unavailable.test(sqlState) ? new SignoutError('service_unavailable', { cause: refused }) : refused
}
