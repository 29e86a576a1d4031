import { OutageError, StartupError } from '../../errors.ts'
import { describeUrl } from '../../input/describe-url.ts'
import { deepestCause, isOutage } from './outage.ts'

/** Causes by the words of Postgres or of the driver, with their code in front, and the cure of each. */
const cures: Array<[says: RegExp, cure: string]> = [
  [/^28P01|password must be a string/, 'Correct the user and the password in the variable.'],
  [/no encryption|SSL off/, 'This Postgres only accepts TLS: add ?sslmode=verify-full to the variable.'],
  [/pg_hba\.conf/, 'Permit this user and this address in pg_hba.conf of Postgres.'],
  [/^28/, 'Correct the user in the variable, or create it in Postgres.'],
  [/^3D000|no such database/, 'Create the database (createdb), or name another one in it.'],
  [/^42501/, 'Give this user the right to use the database, and to create tables in it.'],
  [/ENOTFOUND|EAI_AGAIN/, 'This host name does not resolve: correct the variable, or the name service.'],
  [/does not support SSL/, 'This Postgres does not speak TLS: remove sslmode from the variable, or turn ssl on there.'],
  [
    /self[- ]signed|unable to (verify|get)|certificate has expired|not yet valid/,
    'Its certificate is not trusted: add sslrootcert= with the certificate of its authority (docs/postgres-tls.md).'
  ],
  [/altnames/, 'Its certificate is for another host: use the name in the certificate in the variable.'],
  [/^ENOENT: .*open/, 'Correct the path of the certificate in the variable.'],
  [/^53300|remaining connection slots/, 'Close connections to Postgres, or raise its max_connections.'],
  [/^57P03/, 'Postgres starts or stops: wait until it has started.']
]

const unknown = 'Start Postgres there, or correct the variable.'

/**
 * Returns the error of a start that cannot connect to Postgres: one line with the variable, the reason and its cure. It
 * is an {@link OutageError} if waiting may help.
 */
export function explainPostgresError (url: string, cause: unknown): StartupError {
  return explain(cause, (reason, says) => {
    const cure = cures.find(([pattern]) => pattern.test(says))?.[1] ?? unknown
    return `DATABASE_URL: cannot connect to ${describeUrl(url)} (${reason}). ${cure}`
  })
}

/**
 * Returns the error of a start for an error of the driver.
 *
 * @param toMessage gets the message of the driver, and the same with its code in front
 */
export function explain (cause: unknown, toMessage: (reason: string, says: string) => string): StartupError {
  const deepest = deepestCause(cause)
  const reason = deepest instanceof Error ? deepest.message : String(deepest)
  const { code } = deepest as { code?: unknown }
  const says = typeof code === 'string' && !reason.startsWith(code) ? `${code}: ${reason}` : reason
  const message = toMessage(reason, says)
  return isOutage(cause) ? new OutageError('database', message, { cause }) : new StartupError(message, { cause })
}
