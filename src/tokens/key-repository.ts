import { isNull } from 'drizzle-orm'
import type { Database } from '../db/database.ts'
import { signingKeys } from '../db/tables.ts'
import type { PublicJwk } from '../db/public-jwk.ts'

/** A signing key as it is stored. Its private part can only be read with the secret of the service. */
export interface StoredKey {
  kid: string
  publicJwk: PublicJwk
  encryptedPrivateJwk: string
}

export interface KeyRepository {
  /** Returns the key that signs, or undefined before the first start. */
  findActive (): Promise<StoredKey | undefined>
  /** Adds the key unless there is an active one, and returns the one that is active afterwards. Atomic. */
  addUnlessActive (key: StoredKey): Promise<StoredKey>
}

export function createKeyRepository (database: Database): KeyRepository {
  async function findActive (): Promise<StoredKey | undefined> {
    const [key] = await database.run(db => db.select({
      kid: signingKeys.kid,
      publicJwk: signingKeys.publicJwk,
      encryptedPrivateJwk: signingKeys.encryptedPrivateJwk
    }).from(signingKeys).where(isNull(signingKeys.retiredAt)))
    return key
  }

  return {
    findActive,
    async addUnlessActive (key) {
      await database.run(db => db.insert(signingKeys).values(key).onConflictDoNothing())
      const active = await findActive()
      if (active === undefined) throw new Error('The signing key was retired while it was being made.')
      return active
    }
  }
}
