// @ts-check
import { postgresRecordSql } from 'fastify-signout'
import pg from 'pg'

// In your app this SQL belongs to its migrations.
const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
await client.connect()
await client.query(postgresRecordSql())
await client.end()
