import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { SignoutError } from '../../src/errors.ts'
import { LifetimeError } from '../../src/tokens/claims.ts'

/** The shortest pause between two warnings, in milliseconds: a client sends its token again and again. */
const pauseMs = 60_000

/**
 * Creates the log of refusals. Each refusal is one line at `debug`, with its cause. A token that is refused because it
 * has no `iat`, or lives too long, is a warning: an app has to change that.
 */
export function createRefusalLog (
  app: Pick<FastifyInstance, 'log'>
): (error: SignoutError, log: FastifyBaseLogger | undefined) => void {
  let warnedAt = -Infinity
  return (error, log = app.log) => {
    log.debug({ err: error, code: error.code }, 'Authentication failed')
    if (!(error.cause instanceof LifetimeError) || performance.now() - warnedAt < pauseMs) return
    warnedAt = performance.now()
    app.log.warn({ err: error.cause }, 'A token was refused. The app has to sign it otherwise.')
  }
}

/** Creates a warning, once, that a token came in the address of a request. */
export function createAddressWarning (
  app: Pick<FastifyInstance, 'log'>
): (token: unknown, url: string | undefined) => void {
  let isDone = false
  return (token, url) => {
    if (isDone || typeof token !== 'string' || token === '' || url?.includes(token) !== true) return
    isDone = true
    app.log.warn(
      'A token came in the address of a request. Logs and proxies keep addresses: send it in a header or a cookie, or remove it in a log serializer for req.'
    )
  }
}

const frozenWrites = /^Cannot (assign to read only property|add property|delete property|redefine property)/

/**
 * Explains an error that may come from a write to `request.user`, in the log.
 *
 * @param claimsProperty the property of requests that holds the frozen claims
 */
export function explainFrozenWrites (app: FastifyInstance, claimsProperty: symbol): void {
  app.addHook('onError', (request, _reply, error, done) => {
    const claims = (request as unknown as Record<symbol, unknown>)[claimsProperty]
    const isWrite = Boolean(claims) && (error as Error) instanceof TypeError && frozenWrites.test(error.message)
    if (isWrite) request.log.warn({ err: error }, explanation)
    done()
  })
}

const explanation =
  'If this was a write to request.user: it is frozen, because all requests with this token share it. Put data of your own on the request: app.decorateRequest(\'account\', null), then request.account = account.'
