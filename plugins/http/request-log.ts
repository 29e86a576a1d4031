import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { LogController, type FastifyReply, type FastifyRequest } from 'fastify'
import { canonicalIp } from '../../src/input/requester.ts'
import { loggedPath } from './log-serializers.ts'

/** The requests that get a line: `all`, those answered with `errors` (400 and above), or none (`off`). */
export type LoggedRequests = 'all' | 'errors' | 'off'

/** The name of the request's id in every line. */
const idLabel = 'request_id'
/** Long enough for a UUID, a trace id, and the ids of proxies; shorter than an access token. */
const idForm = /^[A-Za-z0-9._:-]{1,128}$/
/** A refresh token has this form. One that a client sends here by mistake must not get into the log. */
const tokenForm = /^[A-Za-z0-9_-]{43}$/

/**
 * Returns the id of a request: `X-Request-Id` of up to 128 letters, digits or characters of `._:-`, otherwise a new
 * UUID. So the lines of one request have the same id at the proxy, here, and at the services behind.
 */
export function requestIdOf ({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const { 'x-request-id': given } = headers
  return typeof given === 'string' && idForm.test(given) && !tokenForm.test(given) ? given : randomUUID()
}

/** Paths that load balancers and Prometheus ask for all the time. */
const quietPaths = /^\/(health\/(live|ready)|metrics)$/

/**
 * Writes one line for each request, once it is answered: method, path, status, duration in milliseconds, and IP
 * address. The lines of health checks and of scrapes have the level `debug`.
 */
export class RequestLog extends LogController {
  readonly #logged: LoggedRequests
  readonly #logsBeginnings: boolean

  constructor (logged: LoggedRequests, logsBeginnings: boolean) {
    super({ requestIdLogLabel: idLabel })
    this.#logged = logged
    this.#logsBeginnings = logsBeginnings
  }

  override incomingRequest ({ log, method, url }: FastifyRequest): void {
    if (this.#logsBeginnings) log.debug({ method, path: loggedPath(url) }, 'Request begun')
  }

  override routeNotFound (): void {}

  override requestCompleted (error: Error | null | undefined, request: FastifyRequest, reply: FastifyReply): void {
    const { statusCode } = reply
    if (!this.#isWanted(statusCode, error != null)) return
    const path = loggedPath(request.url)
    const line = {
      method: request.method,
      path,
      status: statusCode,
      duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      ip: canonicalIp(request.ip) ?? null
    }
    const level = quietPaths.test(path) && !request.is404 ? 'debug' : 'info'
    request.log[level](error == null ? line : { ...line, broken_off: true }, 'Request')
  }

  /** Causes of a 503 have lines of their own, and an outage must not fill the disk. */
  #isWanted (statusCode: number, isBrokenOff: boolean): boolean {
    const isError = isBrokenOff || (statusCode >= 400 && statusCode !== 503)
    return this.#logged === 'all' || (this.#logged === 'errors' && isError)
  }
}

/** The levels at which requests are logged. */
const levels = ['info', 'debug', 'trace']

/** Returns the Fastify options that give each request an id, and one line in the log. */
export function requestLogOptions ({ level, requests }: { level: string, requests: LoggedRequests }) {
  const isDetailed = level === 'debug' || level === 'trace'
  const logController = new RequestLog(levels.includes(level) ? requests : 'off', isDetailed)
  return { genReqId: requestIdOf, requestIdHeader: false as const, logController }
}
