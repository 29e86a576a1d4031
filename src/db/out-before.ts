import { sql } from 'drizzle-orm'
import { revocations, sessions } from './tables.ts'

/**
 * An SQL expression: the instant before which everyone is out, or null. A session that was opened earlier is over, and
 * so are its tokens. Postgres' clock sets this instant and that of each session, so the clocks of replicas do not
 * matter. It is a whole second, as `auth_time` is.
 */
export const outBefore = sql<Date | null>`(
  select max(${revocations.issuedBefore}) from ${revocations} where ${revocations.scope} = 'everyone')`

/** Selects sessions that are over because everyone is out. */
export const isOut = sql<boolean>`coalesce(${sessions.createdAt} < ${outBefore}, false)`
