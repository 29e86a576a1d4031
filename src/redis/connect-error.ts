import { OutageError, StartupError } from '../errors.ts'
import { describeTopology, variableOf, type RedisTopology } from './topology.ts'

/** Wrong settings by the words of Redis or of the driver, and their cures. `{variable}` names the address. */
const mistakes: Array<[says: RegExp, cure: string]> = [
  [/^WRONGPASS/, 'Correct the user and the password in {variable}, or in REDIS_USERNAME and REDIS_PASSWORD.'],
  [
    /^NOAUTH/,
    'This Redis wants a password: put it into {variable}, as in redis://:password@host:6379, or into REDIS_PASSWORD.'
  ],
  [/^NOPERM/, 'Permit this user the commands and keys that docs/redis.md lists.'],
  [/DB index is out of range/, 'This Redis has fewer databases: correct the number at the end of {variable}.'],
  [/ENOTFOUND|EAI_AGAIN/, 'This host name does not resolve: correct {variable}, or the name service.'],
  [
    /self[- ]signed|unable to (verify|get)|certificate has expired|not yet valid/,
    'Its certificate is not trusted: set REDIS_TLS_CA to the certificate of its authority.'
  ],
  [/altnames/, 'Its certificate is for another host: use the name in the certificate in {variable}.'],
  [/certificate required/, 'This Redis wants a certificate from its clients: set tls-auth-clients no there.'],
  [/SSL routines|wrong version number|packet length/, 'Nothing there speaks TLS: write redis:// in {variable}.'],
  [/^Protocol error/, 'No Redis answers there, or only with TLS (rediss://): correct {variable}.'],
  [/^ERR (?!max number of clients)/, 'Correct {variable}.']
]

/** Outages, which pass, by such words, and their cures. */
const outages: Array<[says: RegExp, cure: string]> = [
  [/ECONNREFUSED/, 'Start Redis there, or correct {variable}.'],
  [/max number of clients/, 'Close connections to Redis, or raise its maxclients.'],
  [/^LOADING/, 'Redis reads its data: wait until it has.'],
  [
    /ECONNRESET|Connection is closed|closed the connection/,
    'Start Redis there. If it only speaks TLS, write rediss:// in {variable}.'
  ]
]

const unknownOutage = 'Start Redis there, correct {variable}, or open the network in between.'
/** A Redis without TLS does not answer a client that begins with it. */
const unknownOutageWithTls = `${unknownOutage} If it does not speak TLS, write redis:// in {variable}.`

/**
 * Returns the error of a start that cannot connect to Redis: one line with the variable, the reason and its cure. It is
 * an {@link OutageError} if waiting may help.
 *
 * @param reason the message of Redis or of the driver
 */
export function explainRedisError (topology: RedisTopology, reason: string, cause: unknown): StartupError {
  const variable = variableOf(topology)
  const find = (list: typeof mistakes) => list.find(([says]) => says.test(reason))?.[1]
  const mistake = find(mistakes)
  const unknown = describeTopology(topology).startsWith('rediss:') ? unknownOutageWithTls : unknownOutage
  const advice = (mistake ?? find(outages) ?? unknown).replaceAll('{variable}', variable)
  const message = `${variable}: cannot connect to ${describeTopology(topology)} (${reason}). ${advice}`
  return mistake === undefined ? new OutageError('blocklist', message, { cause }) : new StartupError(message, { cause })
}
