import { readFile } from 'node:fs/promises'
import type { MadeClient, StoredClient } from '../../administration/client-administration.ts'
import { readClientKeys, type ClientJwk } from '../../clients/client-keys.ts'
import { confirm } from '../confirm.ts'
import { CommandError, orNotFound } from '../failure.ts'
import { withApp } from '../open-app.ts'
import { print, printJson, printTable, toSecond } from '../terminal.ts'

/** Prints the registered clients. */
export async function printClients (asJson: boolean): Promise<void> {
  await withApp(async app => {
    const clients = await app.clientAdministration.list()
    if (asJson) return printJson(clients.map(toShown))
    const rows = clients.map(({ id, mayRevoke, credentials, createdAt }) => [
      id, mayRevoke ? 'yes' : 'no', credentials.map(typeOf).join(', '), toSecond(createdAt),
      toSecond(credentials[0]?.createdAt)
    ])
    printTable([['CLIENT', 'MAY REVOKE', 'CREDENTIALS', 'CREATED', 'ROTATED'], ...rows])
  })
}

/** Registers a client. */
export async function createClient (
  id: string, mayRevoke: boolean, file: string | undefined, asJson: boolean
): Promise<void> {
  const keys = await readKeys(file)
  await withApp(async app => {
    printMade(await app.clientAdministration.create({ id, mayRevoke, keys }), `Created the client ${id}.`, asJson)
  })
}

/** Adds a new credential to a client. */
export async function rotateClient (id: string, file: string | undefined, asJson: boolean): Promise<void> {
  const keys = await readKeys(file)
  await withApp(async app => {
    const made = await orNotFound(app.clientAdministration.rotate(id, keys), unknown(id))
    const line = `${id} has a new credential. The one before is accepted until signout client rotate ${id} --finish.`
    printMade(made, line, asJson)
  })
}

/** Drops the credential before. */
export async function finishRotation (id: string, asJson: boolean): Promise<void> {
  await withApp(async app => {
    const client = await orNotFound(app.clientAdministration.finishRotation(id), unknown(id))
    if (asJson) printJson(toShown(client))
    else print(`${id} has one credential, the newest.`)
  })
}

/** Deletes a client. Asks first, unless that is confirmed. */
export async function deleteClient (id: string, isConfirmed: boolean, asJson: boolean): Promise<void> {
  await withApp(async app => {
    if (!isConfirmed) await confirm(`Delete the client ${id}?`)
    await orNotFound(app.clientAdministration.delete(id), unknown(id))
    if (asJson) printJson({ client_id: id, deleted: true })
    else print(`The client ${id} is deleted, and refused from now on.`)
  })
}

const unknown = (id: string) => `There is no client ${id}: signout client list shows them.`

async function readKeys (file: string | undefined): Promise<ClientJwk[] | undefined> {
  if (file === undefined) return undefined
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CommandError(`--jwk: ${file} cannot be read (${error.code}).`)
  })
  return await readClientKeys(text)
}

function printMade ({ client, secret }: MadeClient, line: string, asJson: boolean): void {
  if (asJson) return printJson({ ...toShown(client), ...secret !== undefined && { client_secret: secret } })
  print(line)
  if (secret === undefined) return
  print(`client_secret: ${secret}`)
  print('Store it now. Only its hash is kept, so it is not shown again.')
}

const typeOf = (credential: StoredClient['credentials'][number]) => 'keys' in credential ? 'keys' : 'secret'

/** Returns a client with the property names of the API. */
function toShown ({ id, mayRevoke, credentials, createdAt }: StoredClient) {
  return {
    client_id: id,
    may_revoke: mayRevoke,
    created_at: createdAt.toISOString(),
    credentials: credentials.map(credential => ({
      type: typeOf(credential),
      created_at: credential.createdAt,
      ...'keys' in credential && { keys: credential.keys }
    }))
  }
}
