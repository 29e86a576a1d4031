import pg from 'pg'
import { ServicesError } from '../../scripts/services/programs.ts'
import { readState } from '../../scripts/services/state.ts'
import { randomName } from '../support/services.ts'

/** A database of the benchmark's own, in the Postgres of `npm run services`. */
export interface BenchDatabase {
  url: string
  query (statement: string): Promise<void>
  drop (): Promise<void>
}

export async function createDatabase (): Promise<BenchDatabase> {
  const server = process.env['DATABASE_URL'] || readState().postgres?.url
  if (server === undefined) throw new ServicesError('This part of the benchmark needs a Postgres: run `npm run services` first, or leave it out with --only.')
  const name = `signout_bench_${randomName()}`
  const url = new URL(server)
  url.pathname = `/${name}`
  await query(server, `create database ${name}`)
  return {
    url: url.href,
    query: statement => query(url.href, statement),
    drop: () => query(server, `drop database if exists ${name} with (force)`)
  }
}

async function query (url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
