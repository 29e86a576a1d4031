import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { SignoutError } from '../src/errors.ts'
import { RecordedError } from '../src/trust/trust.ts'
import { findSession, sessionOf, type Session } from '../src/sessions/session-repository.ts'
import type { EndReason } from '../src/db/tables.ts'
import type { AccessProof } from '../src/logout/logout.ts'
import type { AccessTokenClaims } from '../src/tokens/access-token-claims.ts'
import { bearerToken } from './auth/authorization.ts'
import { allowAnyAnswer } from './auth/errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Authenticates a request that ends something. While the blocklist cannot be read, it checks the record instead of
     * failing as `app.authenticate` does. So the end is recorded, and takes effect automatically when Redis returns. A
     * request that revokes something is answered 503 all the same, because nothing is refused until then.
     *
     * It only requires that the session exists. The handler finds out whether the session has ended already.
     */
    authenticateToEnd (request: FastifyRequest, reply: FastifyReply): Promise<void>
    /**
     * Reads the access token of a logout. Resolves with its claims if it is accepted, as by `authenticateToEnd`. If it
     * is refused, resolves with the refusal, and with the claims of a token with a good signature. Resolves with
     * undefined for a request without `Authorization`.
     */
    readAccessProof (request: FastifyRequest, reply: FastifyReply): Promise<AccessProof | undefined>
    /**
     * Does as `readAccessProof`, for a token that is not in `Authorization`. Resolves with a refusal alone for a text
     * that is no token of this service.
     */
    readProofOf (token: string): Promise<AccessProof>
    /**
     * Returns a hook that authenticates a request which ends its own session. It does as `authenticateToEnd`. It also
     * accepts a repeated request, whose token was revoked by then, if the session has ended for that reason. The
     * handler must tell a repetition from a first request.
     */
    authenticateToRepeat (reason: EndReason): (request: FastifyRequest, reply: FastifyReply) => Promise<void>
    /**
     * Does as `authenticateToEnd` for administrators, whose own session must not have ended. Throws `forbidden` for
     * others.
     */
    authenticateAdminToEnd (request: FastifyRequest, reply: FastifyReply): Promise<void>
  }
}

async function ending (app: FastifyInstance): Promise<void> {
  const findOwn = ({ sub, sid }: AccessTokenClaims) => app.database.run(db => findSession(db, sessionOf(sub, sid)))

  /**
   * Returns the claims of a token with a good signature, which may have been revoked, and its session in the database.
   */
  async function readRecord (token: string): Promise<{ claims: AccessTokenClaims, session: Session | undefined }> {
    // The blocklist cannot tell whether the key of the token was compromised. The ring can, as it is now.
    await app.keyRing.reload()
    // `verifySignature` has checked that our own claims are there.
    const claims = await app.verifySignature(token) as AccessTokenClaims
    return { claims, session: await findOwn(claims) }
  }

  async function verifyByRecord (token: string, mustBeLive: boolean): Promise<AccessTokenClaims> {
    const { claims, session } = await readRecord(token)
    if (session === undefined || (mustBeLive && session.endedAt !== null)) await refuseEverywhere(claims)
    else if (await app.revocationRecord.hasToken(claims.jti) && session.endedAt === null) await refuseEverywhere(claims)
    return claims
  }

  /**
   * Writes the revocation to the blocklist before it is answered 401: another replica may not have the revocation yet,
   * and would accept the token.
   */
  async function refuseEverywhere ({ jti, sub, exp }: AccessTokenClaims): Promise<never> {
    await app.revoker.revoke([{ scope: 'token', id: jti, subject: sub, expiresAt: exp }])
    throw new SignoutError('token_revoked')
  }

  async function authenticateOr (request: FastifyRequest, reply: FastifyReply, mustBeLive: boolean): Promise<void> {
    try {
      await app.authenticate(request, reply)
    } catch (error) {
      if (!isForRecord(error)) throw error
      allowAnyAnswer(reply)
      request.user = await verifyByRecord(bearerToken(request), mustBeLive)
    }
  }

  app.decorate('authenticateToEnd', (request, reply) => authenticateOr(request, reply, false))
  app.decorate('readAccessProof', async (request, reply) => {
    if (request.headers.authorization === undefined) return undefined
    return await toProof(app, async () => {
      await app.authenticateToEnd(request, reply)
      return request.user
    }, () => bearerToken(request))
  })
  app.decorate('readProofOf', token => toProof(app, async () => {
    try {
      return await app.verifyToken(token) as AccessTokenClaims
    } catch (error) {
      if (!isForRecord(error)) throw error
      return await verifyByRecord(token, false)
    }
  }, () => token))
  app.decorate('authenticateToRepeat', reason => async (request, reply) => {
    const proof = await app.readAccessProof(request, reply)
    if (proof?.claims === undefined) throw proof?.refusal ?? new SignoutError('authorization_required')
    const { claims, refusal } = proof
    const isRepetition = refusal?.code === 'token_revoked' && (await findOwn(claims))?.endReason === reason
    if (refusal !== undefined && !isRepetition) throw refusal
    request.user = claims
  })
  app.decorate('authenticateAdminToEnd', async (request, reply) => {
    await authenticateOr(request, reply, true)
    app.requireAdmin(request)
  })
}

/** Resolves with the claims of an accepted token, or with the refusal and what can be read of the token. */
async function toProof (
  app: FastifyInstance, accept: () => Promise<AccessTokenClaims>, readToken: () => string
): Promise<AccessProof> {
  try {
    return { claims: await accept() }
  } catch (refusal) {
    if (!(refusal instanceof SignoutError)) throw refusal
    // A key may have been compromised since the ring was read.
    await app.keyRing.reload()
    const claims = await readRefused(app, readToken)
    return claims === undefined ? { refusal } : { claims, refusal }
  }
}

/** Returns the claims of a token of this service that is refused, perhaps because it has expired. */
async function readRefused (app: FastifyInstance, readToken: () => string): Promise<AccessTokenClaims | undefined> {
  try {
    return await app.accessTokens.read(readToken())
  } catch {
    // The header holds no token.
    return undefined
  }
}

/**
 * Returns true if the record decides: the blocklist could not be read, or does not have the revocation yet. In both
 * cases the request has to write to the blocklist, and is answered 503 while it cannot.
 */
function isForRecord (error: unknown): boolean {
  return (
    error instanceof SignoutError && (error.code === 'revocation_unavailable' || error.cause instanceof RecordedError)
  )
}

export default fp(ending, { name: 'ending', fastify: '5.x', dependencies: ['authentication', 'blocklist'] })
