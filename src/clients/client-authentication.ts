import type { Database } from '../db/database.ts'
import type { Requester } from '../input/requester.ts'
import type { Limits } from '../limits/limits.ts'
import type { EventRepository } from '../security/event-repository.ts'
import { builtInClientId } from '../tokens/access-tokens.ts'
import { verifyAssertion, type AssertionRules } from './client-assertions.ts'
import type { ClientCredentials } from './client-credentials.ts'
import { findClient, spendAssertion, type StoredClient } from './client-repository.ts'
import { isSecretOf } from './client-secrets.ts'

/** A client whose credentials were right. */
export interface Client {
  id: string
  /** True for the built-in client, to which the tokens of `POST /login` belong. It has no secret. */
  isBuiltIn: boolean
  /** True if it may revoke the tokens of other clients. */
  mayRevoke: boolean
}

/**
 * Authenticates a client. Resolves to undefined if the credentials are wrong, or if there is no such client. Both take
 * equally long for secrets.
 *
 * Rejects with `too_many_requests` if the limit of the place is used up, also for right credentials. Rejects with
 * `service_unavailable` if Postgres cannot be asked: no client is accepted from memory. An assertion is accepted once.
 */
export type AuthenticateClient = (credentials: ClientCredentials, requester: Requester) => Promise<Client | undefined>

export interface ClientAuthenticationOptions {
  database: Database
  limits: Pick<Limits, 'attemptClient'>
  events: Pick<EventRepository, 'countFailure'>
  assertions: AssertionRules
  /** Throws `service_unavailable` while clocks differ too much to tell whether an assertion has expired. */
  requireClock: () => void
}

/** The form of an id that the command line accepts. Nothing else is looked up. */
export const clientIdPattern = /^[A-Za-z0-9][A-Za-z0-9._~-]{0,99}$/

export function createClientAuthentication (options: ClientAuthenticationOptions): AuthenticateClient {
  const { database, limits, events, assertions, requireClock } = options

  async function isRight (credentials: ClientCredentials, client: StoredClient | undefined): Promise<boolean> {
    switch (credentials.method) {
      case 'none': return false
      case 'secret': return isSecretOf(client?.credentials ?? [], credentials.secret)
      case 'assertion': {
        requireClock()
        const keys = client?.credentials.flatMap(credential => 'keys' in credential ? credential.keys : []) ?? []
        const verified = await verifyAssertion(credentials.assertion, credentials.clientId, keys, assertions)
        return verified !== undefined &&
          await database.run(db => spendAssertion(db, verified.hash, verified.expiresAt))
      }
    }
  }

  return async (credentials, requester) => {
    const { method, clientId } = credentials
    if (method === 'none') {
      return clientId === builtInClientId ? { id: builtInClientId, isBuiltIn: true, mayRevoke: false } : undefined
    }
    let known: StoredClient | undefined
    const isAuthenticated = await limits.attemptClient(requester.ip, async () => {
      if (clientIdPattern.test(clientId)) known = await database.run(db => findClient(db, clientId))
      return await isRight(credentials, known)
    })
    if (isAuthenticated && known !== undefined) return { id: known.id, isBuiltIn: false, mayRevoke: known.mayRevoke }
    // The id of an unknown client may be a secret that was typed in its place.
    const details = known === undefined ? {} : { details: { client: known.id } }
    await events.countFailure({ type: 'client_authentication_failed', requester, ...details })
    return undefined
  }
}
