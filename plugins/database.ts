import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { openDataDir } from '../src/db/embedded/data-dir.ts'
import type { Database } from '../src/db/database.ts'
import { hasDatabase, openEmbedded } from '../src/db/embedded/embedded.ts'
import { openPostgres } from '../src/db/postgres/postgres.ts'
import type { Config } from '../src/config.ts'
import { createKeyEncryption, type KeyEncryption } from '../src/keys/key-encryption.ts'

declare module 'fastify' {
  interface FastifyInstance {
    database: Database
    /** Encrypts the keys in the database. */
    keyEncryption: KeyEncryption
  }
}

export interface DatabaseOptions {
  config: Pick<Config, 'storage' | 'database' | 'keys'>
}

/** Opens the configured database, and reads the secret for the keys in it. */
async function database (app: FastifyInstance, { config }: DatabaseOptions): Promise<void> {
  const { storage } = config
  if (storage.kind === 'servers') {
    const postgres = await openPostgres({
      url: storage.databaseUrl,
      deadlineMs: config.database.deadlineMs,
      migrates: config.database.migratesOnStart,
      // No outage yet: the pool opens another connection for the next statement.
      onConnectionLost: err => { app.log.debug({ err }, 'A connection to Postgres was lost.') },
      onUnavailable: error => { app.outages.failed('postgres', error) }
    })
    app.addHook('onClose', () => postgres.close())
    app.decorate('database', postgres)
    app.metrics.ask({ pool: () => postgres.pool })
    app.decorate('keyEncryption', createKeyEncryption(storage.keyEncryptionSecret, config.keys.previousSecret))
    app.readiness.add('database', () => postgres.checkWritable())
  } else {
    const dataDir = await openDataDir(storage.dataDir)
    app.addHook('onClose', () => dataDir.unlock())
    if (!hasDatabase(dataDir.path)) app.log.info(`Making the database in ${dataDir.path}. Only the first start does.`)
    const embedded = await openEmbedded(dataDir.path, config.database.migratesOnStart)
    app.addHook('onClose', () => embedded.close())
    app.decorate('database', embedded)
    const secret = storage.keyEncryptionSecret ?? await dataDir.readSecret()
    app.decorate('keyEncryption', createKeyEncryption(secret, config.keys.previousSecret))
    app.readiness.add('database', async () => {
      await dataDir.check()
      await embedded.checkWritable()
    })
  }
}

const dependencies = ['metrics', 'readiness', 'outages']
export default fp(database, { name: 'database', fastify: '5.x', dependencies })
