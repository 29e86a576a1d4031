import { clientIdPattern } from '../clients/client-authentication.ts'
import type { ClientJwk } from '../clients/client-keys.ts'
import {
  deleteClient, insertClient, listClients, lockClient, maxClients, setCredentials, type StoredClient
} from '../clients/client-repository.ts'
import { createClientSecret, hashClientSecret, maxCredentials } from '../clients/client-secrets.ts'
import type { StoredCredential } from '../clients/tables.ts'
import type { Database } from '../db/database.ts'
import { SignoutError } from '../errors.ts'
import { builtInClientId } from '../tokens/access-tokens.ts'
import type { Perform } from '../unit-of-work.ts'
import { recordAct } from './administrator.ts'

export type { StoredClient } from '../clients/client-repository.ts'

/** A client, and the secret that was made for it. The secret is known only here. */
export interface MadeClient {
  client: StoredClient
  /** Undefined for a client with keys. */
  secret: string | undefined
}

export interface NewClient {
  id: string
  mayRevoke: boolean
  /** The public keys of the client. Without them, it gets a secret. */
  keys: ClientJwk[] | undefined
}

/** The operations of an operator on registered clients. They take effect with the next request, on every replica. */
export interface ClientAdministration {
  /** Returns all clients, by their ids. */
  list (): Promise<StoredClient[]>
  /** Registers a client. Rejects with `invalid_request` if the id is malformed or taken. */
  create (client: NewClient): Promise<MadeClient>
  /**
   * Adds a new secret, or the given keys. The credential before stays valid; an older one is dropped. Rejects with
   * `not_found` for an unknown client.
   */
  rotate (id: string, keys: ClientJwk[] | undefined): Promise<MadeClient>
  /** Drops every credential but the newest. Rejects with `not_found` for an unknown client. */
  finishRotation (id: string): Promise<StoredClient>
  /** Deletes a client. Rejects with `not_found` for an unknown client. */
  delete (id: string): Promise<void>
}

export interface ClientAdministrationOptions {
  database: Database
  perform: Perform
}

const refusal = (description: string) => new SignoutError('invalid_request', { description })

export function createClientAdministration (
  { database, perform }: ClientAdministrationOptions
): ClientAdministration {
  /** Replaces the credentials of a client, with its row locked. */
  async function replace (
    id: string, next: (credentials: StoredCredential[]) => StoredCredential[]
  ): Promise<StoredClient> {
    return await perform(async unit => {
      const client = await lockClient(unit.db, id)
      if (client === undefined) throw new SignoutError('not_found')
      const credentials = next(client.credentials)
      await setCredentials(unit.db, id, credentials)
      recordAct(unit, { type: 'client_rotated', details: { client: id } }, {})
      return { ...client, credentials }
    })
  }

  return {
    list: () => database.run(listClients),
    async create ({ id, mayRevoke, keys }) {
      requireId(id)
      const { credential, secret } = makeCredential(keys)
      return await perform(async unit => {
        if ((await listClients(unit.db)).length >= maxClients) throw refusal(`There are ${maxClients} clients already.`)
        const client = await insertClient(unit.db, { id, mayRevoke, credentials: [credential] })
        if (client === undefined) throw refusal(`There is a client ${id} already: signout client list shows it.`)
        recordAct(unit, { type: 'client_created', details: { client: id } }, {})
        return { client, secret }
      })
    },
    async rotate (id, keys) {
      const { credential, secret } = makeCredential(keys)
      return { client: await replace(id, ones => [credential, ...ones].slice(0, maxCredentials)), secret }
    },
    finishRotation: id => replace(id, credentials => credentials.slice(0, 1)),
    async delete (id) {
      await perform(async unit => {
        if (!await deleteClient(unit.db, id)) throw new SignoutError('not_found')
        recordAct(unit, { type: 'client_deleted', details: { client: id } }, {})
      })
    }
  }
}

function requireId (id: string): void {
  if (id === builtInClientId) throw refusal(`${builtInClientId} is the built-in client. Choose another id.`)
  if (!clientIdPattern.test(id)) {
    throw refusal('The id of a client has 1 to 100 letters, digits or characters of "._~-", and begins with no sign.')
  }
}

function makeCredential (keys: ClientJwk[] | undefined): { credential: StoredCredential, secret: string | undefined } {
  const createdAt = new Date().toISOString()
  if (keys !== undefined) return { credential: { createdAt, keys }, secret: undefined }
  const secret = createClientSecret()
  return { credential: { createdAt, secretHash: hashClientSecret(secret) }, secret }
}
