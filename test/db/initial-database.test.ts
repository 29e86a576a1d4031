import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import t, { type Test } from 'tap'
import { initialDatabase, makeDatabase } from '../../src/db/embedded/initial-database.ts'
import { scratchFolder } from '../support/app.ts'

const never = async () => { throw new Error('There is a file of an empty database.') }

/** Returns everything that a database has: databases, roles, settings, and all objects by their names. */
async function contentsOf (t: Test, folder?: string) {
  const client = await PGlite.create(folder)
  t.teardown(() => client.close())
  const list = async (query: string) => (await client.query<Record<string, unknown>>(query)).rows
  return {
    databases: await list('select datname, encoding, datcollate, datctype from pg_database order by 1'),
    roles: await list('select rolname, rolsuper, rolcanlogin from pg_roles order by 1'),
    settings: await list("select name, setting from pg_settings where name <> 'data_directory' order by 1"),
    relations: await list("select oid::regclass::text, relkind from pg_class where relkind <> 't' order by 1"),
    functions: await list('select oid::regprocedure::text from pg_proc order by 1'),
    types: await list('select oid::regtype::text from pg_type order by 1')
  }
}

t.test('the first start copies what the initdb of the installed PGlite makes, and nothing of ours (P2)', async t => {
  t.ok(existsSync(initialDatabase()), `${initialDatabase()} is missing: npm run initdb`)
  const folder = join(scratchFolder(t), 'postgres')
  await makeDatabase(folder, never)
  const made = await contentsOf(t, folder)
  t.same(made, await contentsOf(t), 'initdb')
  t.ok(made.relations.length > 200, 'the comparison sees the catalogs')
})

t.test('with another PGlite, its initdb makes the database; a killed start leaves none', async t => {
  const parent = scratchFolder(t)
  const folder = join(parent, 'postgres')
  const missing = join(parent, 'pglite-9.9.9.tar.br')
  await t.rejects(makeDatabase(folder, async path => {
    writeFileSync(join(path, 'PG_VERSION'), '18')
    throw new Error('It stops halfway.')
  }, missing), /halfway/)
  t.notOk(existsSync(folder))
  await makeDatabase(folder, async path => {
    t.same(readdirSync(path), [], 'nothing is left of the start before')
    await mkdir(join(path, 'base'))
  }, missing)
  t.same(readdirSync(folder), ['base'])
  t.same(readdirSync(parent), ['postgres'])
})
