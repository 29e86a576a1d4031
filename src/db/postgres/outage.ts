/**
 * Codes of the system, and SQLSTATEs, that say that no Postgres can be reached there now: nobody listens, the network
 * is in the way, it has no connection left (53300), or it is starting up or shutting down (57P01 to 57P03). A wrong
 * password, an unknown database and a name that does not resolve are not among them: waiting does not cure those.
 */
const outages =
  /^(ECONNREFUSED|ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|0800[136]|53300|57P0[123])$/

/** What the driver says, without a code, of a server that does not answer in time, or hangs up. */
const hungUp = /^(timeout expired|Connection terminated)/

/** The SQLSTATE of whatever PgBouncer refuses. Only the words tell a passing state from a wrong setting. */
const fromPgBouncer = '08P01'

/**
 * What PgBouncer says while it has no connection left, or cannot reach Postgres. A pooler that does not know the
 * database, or hands out each statement (`pool_mode = statement`), says something else, and waiting does not cure that.
 */
const noneLeft =
  /query_wait_timeout|max_client_conn|server_login_retry|client_login_timeout|cannot connect|server conn crashed|shutting down/i

/** Returns true if what the driver threw says that Postgres cannot be reached now. */
export function isOutage (error: unknown): boolean {
  const { code, syscall, message = '' } = deepestCause(error) as { code?: string, syscall?: string, message?: string }
  if (code === undefined) return hungUp.test(message)
  if (code === fromPgBouncer) return noneLeft.test(message)
  // The socket file of a server on this machine is there for as long as the server is; other files are certificates.
  return outages.test(code) || (code === 'ENOENT' && syscall === 'connect')
}

/** Drizzle wraps what the driver throws, and Node the failures of several addresses of one host, without a message. */
export function deepestCause (error: unknown): unknown {
  return error instanceof AggregateError ? error.errors[0] : (error as Error).cause ?? error
}
