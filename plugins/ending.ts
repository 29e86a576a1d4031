import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { SignoutError } from '../src/errors.ts'
import { RecordedError } from '../src/trust/trust.ts'
import { findSession, sessionOf, type Session } from '../src/sessions/session-repository.ts'
import type { AccessTokenClaims } from '../src/tokens/claims.ts'
import { bearerToken } from './auth/authorization.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * `app.authenticate` for requests that end something. While the blocklist cannot be asked, the record is asked
     * instead, so that what is to end is recorded, and takes effect as soon as the blocklist is back, whether or not
     * anybody tries again. What has something to revoke is answered 503 all the same, since until then nothing is
     * refused.
     *
     * The record says that there is such a session; whether it has ended already is for whoever ends it to find out.
     */
    authenticateToEnd (request: FastifyRequest, reply: FastifyReply): Promise<void>
    /**
     * `authenticateToEnd` for the deletion of one's own account. It accepts a repeated request: its token is revoked by
     * then, and the record says that this deletion ended the session.
     */
    authenticateToDelete (request: FastifyRequest, reply: FastifyReply): Promise<void>
    /** The same for administrators, whose own session must not have ended. */
    authenticateAdminToEnd (request: FastifyRequest, reply: FastifyReply): Promise<void>
  }
}

async function ending (app: FastifyInstance): Promise<void> {
  /** The claims of a token that is well, but that may have been revoked, and its session as the record has it. */
  async function readRecord (
    request: FastifyRequest
  ): Promise<{ claims: AccessTokenClaims, session: Session | undefined }> {
    // Our own tokens have our own claims: the check of the signature has made sure.
    const claims = await app.verifySignature(bearerToken(request)) as AccessTokenClaims
    return { claims, session: await app.database.run(db => findSession(db, sessionOf(claims.sub, claims.sid))) }
  }

  async function authenticateFromRecord (request: FastifyRequest, mustBeLive: boolean): Promise<void> {
    const { claims, session } = await readRecord(request)
    if (session === undefined || (mustBeLive && session.endedAt !== null)) await refuseEverywhere(claims)
    else if (await app.revocationRecord.hasToken(claims.jti) && session.endedAt === null) await refuseEverywhere(claims)
    request.user = claims
  }

  /**
   * Writes the revocation to the blocklist before it is answered 401: another replica may not know the revocation yet,
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
      await authenticateFromRecord(request, mustBeLive)
    }
  }

  app.decorate('authenticateToEnd', (request, reply) => authenticateOr(request, reply, false))
  app.decorate('authenticateToDelete', async (request, reply) => {
    try {
      await authenticateOr(request, reply, false)
    } catch (error) {
      if (!(error instanceof SignoutError) || error.code !== 'token_revoked') throw error
      const { claims, session } = await readRecord(request)
      if (session?.endReason !== 'account_deleted') throw error
      request.user = claims
    }
  })
  app.decorate('authenticateAdminToEnd', async (request, reply) => {
    await authenticateOr(request, reply, true)
    app.requireAdmin(request)
  })
}

/**
 * Whether the record decides: the blocklist could not be asked, or does not have the revocation yet. In both cases the
 * request has to write to the blocklist, and is answered 503 while it cannot.
 */
function isForRecord (error: unknown): boolean {
  return (
    error instanceof SignoutError && (error.code === 'revocation_unavailable' || error.cause instanceof RecordedError)
  )
}

export default fp(ending, { name: 'ending', fastify: '5.x', dependencies: ['tokens', 'blocklist'] })
