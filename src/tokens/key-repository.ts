import { isNull } from 'drizzle-orm'
import type { Database } from '../db/database.ts'
import { signingKeys } from '../db/tables.ts'
import type { PublicJwk } from '../db/public-jwk.ts'

/** A signing key as it is kept: its private part is readable only with the service's secret. */
export interface StoredKey {
  kid: string
  publicJwk: PublicJwk
  encryptedPrivateJwk: string
}

export interface KeyRepository {
  /** The key that signs, or undefined before the first start. */
  findActive (): Promise<StoredKey | undefined>
  /** Atomic: adds the key unless one is active already, and answers the one that is active afterwards. */
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
