import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { createClientAuthentication, type Client } from '../../src/clients/client-authentication.ts'
import { readClientCredentials, type ClientParameters } from '../../src/clients/client-credentials.ts'
import type { Config } from '../../src/config.ts'
import { SignoutError } from '../../src/errors.ts'
import { createGrant, type Grant } from '../../src/oauth/grant.ts'
import { builtInRoles } from '../../src/roles/role-names.ts'
import { createIntrospect, type Introspect } from '../../src/oauth/introspection.ts'
import {
  addressOf, describeServer, metadataPaths, oauthPaths, type ServerDescription
} from '../../src/oauth/metadata.ts'
import { OAuthError } from '../../src/oauth/oauth-error.ts'
import { createRevokeToken, type RevokeToken } from '../../src/oauth/revocation.ts'
import { isRepeated } from '../auth/authorization.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The endpoints of OAuth. */
    oauth: { grant: Grant, revoke: RevokeToken, introspect: Introspect }
    /** The metadata of the service, and the paths at which it is served. */
    serverMetadata: { description: ServerDescription, paths: string[] }
    /**
     * Authenticates the client of a request to an endpoint of OAuth. Rejects with `invalid_client`, with
     * `invalid_request` for credentials that contradict each other, and with 429 or 503.
     */
    requireClient (request: FastifyRequest): Promise<Client>
  }
}

export interface OAuthOptions {
  config: Pick<Config, 'tokens' | 'clocks'>
}

/** Adds the endpoints of OAuth, and the authentication of clients. */
async function oauth (app: FastifyInstance, { config }: OAuthOptions): Promise<void> {
  const { database } = app
  const { issuer } = config.tokens
  const requireClock = () => { app.clocks.requireAgreement() }
  const authenticateClient = createClientAuthentication({
    database,
    limits: app.limits,
    events: app.securityEvents,
    assertions: { audiences: [issuer, addressOf(issuer, oauthPaths.token)], ...config.clocks },
    requireClock
  })
  app.decorate('oauth', {
    grant: createGrant(app.sessions.refresh),
    revoke: createRevokeToken({ database, logOut: app.logout.withCredentials, readProof: app.readProofOf }),
    introspect: createIntrospect({ database, issuer, verifyToken: app.verifyToken, requireClock })
  })
  app.decorate('serverMetadata', { description: describeServer(issuer, builtInRoles), paths: metadataPaths(issuer) })
  app.decorate('requireClient', async request => {
    if (isRepeated(request, 'authorization')) {
      throw new SignoutError('invalid_request', { description: 'The request has more than one Authorization.' })
    }
    const credentials = readClientCredentials(request.headers.authorization, request.body as ClientParameters)
    const client = credentials && await authenticateClient(credentials, request.requester)
    if (client === undefined) throw new OAuthError('invalid_client')
    return client
  })
}

const dependencies = ['accounts', 'authentication', 'ending', 'rate-limits']
export default fp(oauth, { name: 'oauth', fastify: '5.x', dependencies })
