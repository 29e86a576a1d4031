import t, { type Test } from 'tap'
import type { Database } from '../../src/db/database.ts'
import { openEmbedded } from '../../src/db/embedded/embedded.ts'
import { openPostgres } from '../../src/db/postgres/postgres.ts'
import { rootSecrets, signingKeys } from '../../src/db/tables.ts'
import { createKeyEncryption } from '../../src/keys/key-encryption.ts'
import { openKeyRing, type KeyRing, type KeyRingOptions } from '../../src/keys/key-ring.ts'
import { openRootSecret } from '../../src/keys/root-secret.ts'
import { embeddedEnv, secret } from '../support/app.ts'
import { isQuick } from '../support/form.ts'
import { databaseOfTest } from '../support/services.ts'
import { copyPostgresTemplate } from '../support/templates.ts'

const embedded: Record<string, Database> =
  isQuick ? {} : { embedded: await openEmbedded((await embeddedEnv(t))['DATA_DIR']) }
export const databases: Record<string, Database> & Record<'Postgres', Database> = {
  ...embedded,
  Postgres: await openPostgres({ url: await databaseOfTest(t, copyPostgresTemplate), deadlineMs: 20_000 })
}
t.teardown(() => Promise.all(Object.values(databases).map(database => database.close())))

/** Opens the ring as a replica does, which reads the root secret first. */
export async function open (database: Database, changes: Partial<KeyRingOptions> = {}): Promise<KeyRing> {
  const { encryption = createKeyEncryption(secret) } = changes
  await openRootSecret(database, encryption)
  return await openKeyRing({
    database,
    encryption,
    algorithm: 'EdDSA',
    tokenLifetimeSeconds: 60,
    sessionMaxAgeSeconds: 3_600,
    jwksMaxAgeSeconds: 300,
    ...changes
  })
}

/** Runs a test on each database, with no keys in it. */
export async function onEachDatabase (
  t: Test, test: (t: Test, database: Database) => Promise<void>
): Promise<void> {
  for (const [name, database] of Object.entries(databases)) {
    await t.test(name, async t => {
      await database.run(db => db.delete(signingKeys))
      await database.run(db => db.delete(rootSecrets))
      await test(t, database)
    })
  }
}
