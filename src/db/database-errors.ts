import { DrizzleQueryError } from 'drizzle-orm/errors'
import { SignoutError } from '../errors.ts'

/**
 * SQLSTATE classes and codes which say that the database cannot answer now, not that the query is wrong.
 *
 * - Classes: connection exception (08), authorization (28), unknown database (3D), deadlock and serialization failure
 *   (40), insufficient resources (53), operator intervention, which includes the statement timeout (57), system error
 *   (58).
 * - Codes: read-only after a failover (25006), idle in a transaction for too long (25P03), lock not available
 *   (55P03).
 */
const unavailable = /^(08|28|3D|40|53|57|58|25006|25P03|55P03)/

/** Matches an SQLSTATE: five characters with a digit among them. Codes of the system, such as EPIPE, have no digit. */
const sqlStateForm = /^(?=.*\d)[0-9A-Z]{5}$/

/** The database refused a query: a defect of ours. The message names the constraint, and never a value. */
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

/** Returns true if a statement lost against another one: a deadlock, or a lock held for too long. */
export function isContention (error: unknown): boolean {
  return error instanceof DatabaseError && /^(40|25P03|55P03)/.test(error.sqlState)
}

/** The database did not answer. */
export class DatabaseUnreachableError extends Error {
  override readonly name = 'DatabaseUnreachableError'
}

/**
 * Translates an error of the driver. Errors of Drizzle carry the parameters of the query, and errors of Postgres carry
 * values: password hashes and usernames. Neither may reach a log or an answer. So an error of Postgres is reduced to
 * its SQLSTATE and the name of the constraint.
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
