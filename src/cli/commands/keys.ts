import type { StoredKey } from '../../administration/key-administration.ts'
import { toKeys } from '../../schemas/schemas.ts'
import { orNotFound } from '../failure.ts'
import { withApp, withAppToEnd } from '../open-app.ts'
import { print, printJson, printTable, toSecond } from '../terminal.ts'

export async function listKeys (asJson: boolean): Promise<void> {
  await withApp(async app => { printKeys(await app.keyAdministration.list(), asJson) })
}

export async function rotateKey (asJson: boolean): Promise<void> {
  await withApp(async app => { printKeys(await app.keyAdministration.rotate({}), asJson) })
}

/** Retires a key. While Redis is down, the end of a compromised key is recorded. */
export async function retireKey (kid: string, isCompromised: boolean, asJson: boolean): Promise<void> {
  await withAppToEnd(async app => {
    const retired = app.keyAdministration.retire(kid, isCompromised, {})
    printKeys(await orNotFound(retired, `There is no key ${kid}: signout keys list shows them.`), asJson)
  })
}

/** Ends a change of the secret that encrypts the keys. */
export async function reencryptKeys (asJson: boolean): Promise<void> {
  await withApp(async app => {
    const keys = await app.keyAdministration.reencrypt({})
    if (asJson) return printKeys(keys, asJson)
    print('The keys are encrypted under KEY_ENCRYPTION_SECRET alone. Remove KEY_ENCRYPTION_SECRET_PREVIOUS.')
  })
}

function printKeys (keys: readonly StoredKey[], asJson: boolean): void {
  const shown = toKeys(keys).keys
  if (asJson) return printJson(shown)
  const rows = shown.map(({ kid, algorithm, state, created_at: created, signs_since: signs, verifies_until: until }) =>
    [kid, algorithm, state, ...[created, signs, until].map(toSecond)])
  printTable([['KID', 'ALGORITHM', 'STATE', 'CREATED', 'SIGNS SINCE', 'VERIFIES UNTIL'], ...rows])
}
