import type { Database } from '../db/database.ts'
import type { SigningAlgorithm } from '../db/public-jwk.ts'
import { SignoutError, StartupError } from '../errors.ts'
import { keyRevocation } from '../entries/revocation.ts'
import type { KeyEncryption } from '../keys/key-encryption.ts'
import {
  activate, addSpareUnlessThere, deleteSpare, listKeys, lockKeys, markCompromised, retire,
  type NewKey, type StoredKey
} from '../keys/key-repository.ts'
import type { KeyRing } from '../keys/key-ring.ts'
import { makeKey } from '../keys/new-key.ts'
import { encryptNewKey, reencryptAll } from '../keys/root-secret.ts'
import type { RequireRecent } from '../sessions/recent-authentication.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { lockForAct, recordAct, type Administrator } from './administrator.ts'

export type { StoredKey } from '../keys/key-repository.ts'

export interface KeyAdministrationOptions {
  database: Database
  perform: Perform
  requireRecent: RequireRecent
  encryption: KeyEncryption
  keyRing: Pick<KeyRing, 'reload'>
  /** The algorithm of new keys. */
  algorithm: SigningAlgorithm
  accessTokenLifetimeSeconds: number
  /** For how long the public keys may be cached, in seconds. */
  jwksMaxAgeSeconds: number
}

/**
 * The operations on signing keys. Acts reject with `token_revoked` or `forbidden` if the administrator may no longer
 * act, and resolve with all keys as they are then, oldest first.
 */
export interface KeyAdministration {
  list (): Promise<StoredKey[]>
  /**
   * Lets the spare key sign, retires the key that has signed until now, and adds a new spare key. No request fails:
   * every verifier knows the spare key already, and the retired key verifies what it has signed. Rejects with
   * `key_not_ready` while caches may not have the spare key yet.
   */
  rotate (by: Administrator): Promise<StoredKey[]>
  /** Rotates if the key that signs does so for longer than this. Resolves to true if it did. */
  rotateAfter (seconds: number): Promise<boolean>
  /**
   * Retires a key: one that signs is rotated, and a spare key is replaced. A compromised key is refused at once, for
   * ever, on every replica, with all its tokens; the spare key then signs, however new it is. Rejects with `not_found`
   * for an unknown key, and as `rotate` does. Rejects with `revocation_unavailable` when the blocklist does not confirm
   * the end of a compromised key, which is recorded by then. Repeating it is safe.
   */
  retire (kid: string, isCompromised: boolean, by: Administrator): Promise<StoredKey[]>
  /**
   * Ends a change of KEY_ENCRYPTION_SECRET: everything is encrypted under the present secret alone. A replica that has
   * only the secret before can sign nothing after the next rotation.
   */
  reencrypt (by: Administrator): Promise<StoredKey[]>
}

/** For how long after a rotation a replica may sign with the key that it has read before, in seconds. */
const lateSeconds = 60
/**
 * Returns for how long a key is published before it signs, in seconds: longer than caches live. The age of a key counts
 * from its insert, and a cache may have read the keys just before the commit. The answer to the cache takes time too.
 */
const publishedFirstSeconds = (jwksMaxAgeSeconds: number) => jwksMaxAgeSeconds + Math.min(10, jwksMaxAgeSeconds / 2)

/** An act on keys, which are locked. */
interface KeyAct {
  unit: Unit
  keys: readonly StoredKey[]
  /** A key that was made for this act, which becomes the next spare key if one is needed. */
  made: NewKey
  by: Administrator
}

export function createKeyAdministration (options: KeyAdministrationOptions): KeyAdministration {
  const { database, perform, requireRecent, encryption, keyRing, algorithm } = options

  /** Does an act on the keys, and reads the ring again even if the act was not confirmed. */
  async function act (by: Administrator, work: (act: KeyAct) => Promise<void>): Promise<StoredKey[]> {
    // Made before the transaction: a key of RS256 takes long.
    const key = await makeKey(algorithm)
    try {
      return await perform(async unit => {
        await lockForAct(unit, requireRecent, by)
        const keys = await lockKeys(unit.db)
        await work({ unit, keys, made: await encryptNewKey(unit.db, encryption, key), by })
        return await listKeys(unit.db)
      })
    } catch (error) {
      // Only a replica that still has the secret before, after all keys were encrypted under the next one.
      throw error instanceof StartupError ? new SignoutError('service_unavailable', { cause: error }) : error
    } finally {
      await keyRing.reload().catch(() => {})
    }
  }

  return {
    list: () => database.run(listKeys),
    rotate: by => act(by, act => rotate(act, options)),
    async rotateAfter (seconds) {
      const isDue = (keys: readonly StoredKey[]) =>
        keys.some(({ state, signsSeconds }) => state === 'active' && signsSeconds > seconds)
      if (!isDue(await database.run(listKeys))) return false
      let hasRotated = false
      await act({}, async act => {
        hasRotated = isDue(act.keys)
        if (hasRotated) await rotate(act, options)
      })
      return hasRotated
    },
    retire: (kid, isCompromised, by) => act(by, async act => {
      const key = act.keys.find(known => known.kid === kid)
      if (key === undefined) throw new SignoutError('not_found')
      if (isCompromised) await expel(act, key)
      else if (key.state === 'active') await rotate(act, options)
      else if (key.state === 'spare') await replaceSpare(act, key)
    }),
    reencrypt: by => act(by, async ({ unit, keys }) => {
      await reencryptAll(unit.db, encryption, keys)
      recordAct(unit, { type: 'keys_reencrypted' }, by)
    })
  }
}

async function rotate (act: KeyAct, options: KeyAdministrationOptions): Promise<void> {
  const { unit, keys, by } = act
  const [active, spare] = (['active', 'spare'] as const).map(state => keys.find(key => key.state === state))
  const waitSeconds = publishedFirstSeconds(options.jwksMaxAgeSeconds) - (spare?.ageSeconds ?? 0)
  if (spare === undefined || active === undefined || waitSeconds > 0) {
    throw new SignoutError('key_not_ready', { retryAfterSeconds: Math.max(1, Math.ceil(waitSeconds)) })
  }
  await retire(unit.db, active.kid, options.accessTokenLifetimeSeconds + lateSeconds)
  await replaceActive(act)
  recordAct(unit, { type: 'key_rotated', details: { kid: spare.kid, retired: active.kid } }, by)
}

/** Lets the spare key sign, once the active one is retired, and adds a new spare key. */
async function replaceActive ({ unit, keys, made }: KeyAct): Promise<void> {
  const spare = keys.find(({ state }) => state === 'spare')
  if (spare !== undefined) await activate(unit.db, spare.kid)
  await addSpareUnlessThere(unit.db, made)
}

async function replaceSpare ({ unit, made, by }: KeyAct, { kid }: StoredKey): Promise<void> {
  await deleteSpare(unit.db, kid)
  await addSpareUnlessThere(unit.db, made)
  recordAct(unit, { type: 'key_retired', details: { kid } }, by)
}

/** Ends a compromised key, in whatever state it is. */
async function expel (act: KeyAct, { kid, state }: StoredKey): Promise<void> {
  const { unit, made, by } = act
  if (state === 'compromised') {
    unit.revokeAgain([keyRevocation(kid)])
    return
  }
  await markCompromised(unit.db, kid)
  if (state === 'active') await replaceActive(act)
  if (state === 'spare') await addSpareUnlessThere(unit.db, made)
  unit.revoke([{ ...keyRevocation(kid), reason: 'key_compromised' }])
  recordAct(unit, { type: 'key_retired', details: { kid, reason: 'compromised' } }, by)
}
