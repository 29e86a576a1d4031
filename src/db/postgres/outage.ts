/**
 * Matches codes of the system, and SQLSTATEs, which say that Postgres cannot be reached now. No process listens, the
 * network is in the way, no connection is left (53300), or Postgres is starting up or shutting down (57P01 to 57P03).
 *
 * A wrong password, an unknown database and a name that does not resolve are not among them: waiting does not cure
 * those.
 */
const outages =
  /^(ECONNREFUSED|ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|0800[136]|53300|57P0[123])$/

/** Matches errors of the driver without a code: the server did not answer within the deadline, or hung up. */
const hungUp = /^(timeout expired|Connection terminated)/

/** The SQLSTATE of every refusal by PgBouncer. Only its words tell a passing state from a wrong setting. */
const fromPgBouncer = '08P01'

/**
 * Matches the words of PgBouncer while it has no connection left, or cannot reach Postgres. Waiting does not cure its
 * other refusals: an unknown database, or a pooler that hands out each statement (`pool_mode = statement`).
 */
const noneLeft =
  /query_wait_timeout|max_client_conn|server_login_retry|client_login_timeout|cannot connect|server conn crashed|shutting down/i

/** Returns true if an error of the driver says that Postgres cannot be reached now. */
export function isOutage (error: unknown): boolean {
  const { code, syscall, message = '' } = deepestCause(error) as { code?: string, syscall?: string, message?: string }
  if (code === undefined) return hungUp.test(message)
  if (code === fromPgBouncer) return noneLeft.test(message)
  // A local server has its socket file only while it runs. Other missing files are certificates.
  return outages.test(code) || (code === 'ENOENT' && syscall === 'connect')
}

/**
 * Returns the error that Drizzle or Node has wrapped. Node wraps the failures of several addresses of one host, without
 * a message.
 */
export function deepestCause (error: unknown): unknown {
  return error instanceof AggregateError ? error.errors[0] : (error as Error).cause ?? error
}
