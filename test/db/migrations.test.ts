import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { migrationsFolder } from '../../src/db/migrations-folder.ts'
import { scratchDatabase } from '../support/services.ts'

interface Column {
  name: string
  type: string
  isRequired: boolean
}

const columns = `
  select c.table_name || '.' || column_name as name, data_type as type, is_nullable = 'NO' and column_default is null and is_identity = 'NO' as "isRequired"
  from information_schema.columns c where table_schema = 'public'`

/** The constraints on the rows of a table, beyond the types of its columns. */
const constraints = `
  select conrelid::regclass::text as name, pg_get_constraintdef(oid) as definition from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
  union select tablename, indexdef from pg_indexes where schemaname = 'public' and indexdef like '%UNIQUE%'`

interface Shape {
  columns: Map<string, Column>
  constraints: Set<string>
}

async function readShape (db: pg.Client): Promise<Shape> {
  const { rows } = await db.query<Column>(columns)
  const { rows: rules } = await db.query<{ name: string, definition: string }>(constraints)
  return {
    columns: new Map(rows.map(column => [column.name, column])),
    constraints: new Set(rules.map(({ name, definition }) => `${name}: ${definition}`))
  }
}

/** New constraints that do not break the previous release, each with the reason. */
const harmless = new Set([
  // It inserts users with `on conflict do nothing`, and answers `username_taken`: test/users/usernames.test.ts.
  'new: users: CREATE UNIQUE INDEX users_username_folded ON public.users USING btree (lower((username COLLATE "C")))',
  // It adds no spare key.
  "new: signing_keys: CREATE UNIQUE INDEX signing_keys_one_spare ON public.signing_keys USING btree ((true)) WHERE (state = 'spare'::text)"
])

/** Tables that were renamed with the format of the record, so that the previous release refuses every token. */
const otherFormat = /^revocation_(logs|tail)\.\w+ is gone/

/** Returns the changes of a migration that break the previous release, which still runs beside the next one. */
function findBreaks (before: Shape, after: Shape): string[] {
  const tables = new Set([...before.columns.keys()].map(tableOf))
  const gone = [...before.columns.values()]
    .filter(({ name, type }) => after.columns.get(name)?.type !== type)
    .map(({ name }) => `${name} is gone, or of another type`)
  const required = [...after.columns.values()]
    .filter(
      ({ name, isRequired }) => isRequired && tables.has(tableOf(name)) && before.columns.get(name)?.isRequired !== true
    )
    .map(({ name }) => `${name} must be given, and whoever does not know it cannot`)
  const narrower = [...after.constraints]
    .filter(rule => tables.has(rule.split(':')[0] ?? '') && !before.constraints.has(rule))
    .map(rule => `new: ${rule}`)
  return [...gone, ...required, ...narrower]
}

const tableOf = (column: string) => column.split('.')[0] ?? ''

/** Applies the steps one after another, and returns the breaks of each. */
async function findBreaksOf (db: pg.Client, ...steps: string[]): Promise<string[][]> {
  const found = []
  let before = await readShape(db)
  for (const step of steps) {
    await db.query(step)
    const after = await readShape(db)
    found.push(findBreaks(before, after))
    before = after
  }
  return found
}

async function openEmpty (t: Test): Promise<pg.Client> {
  const db = new pg.Client({ connectionString: await scratchDatabase(t) })
  await db.connect()
  t.teardown(() => db.end())
  return db
}

t.test('a migration leaves the previous release running: it only adds, and no addition is required', async t => {
  const { entries } = JSON.parse(readFileSync(join(migrationsFolder, 'meta/_journal.json'), 'utf8')) as {
    entries: Array<{ tag: string }>
  }
  t.ok(entries.length > 1)
  const found = await findBreaksOf(
    await openEmpty(t), ...entries.map(({ tag }) => readFileSync(join(migrationsFolder, `${tag}.sql`), 'utf8'))
  )
  const isMeant = (found: string) => harmless.has(found) || otherFormat.test(found)
  t.same(found.map(breaks => breaks.filter(found => !isMeant(found))), entries.map(() => []))
})

t.test('a migration that would break the previous release is found', async t => {
  const db = await openEmpty(t)
  await db.query('create table people (id int primary key, name text)')
  for (const [step, breaks] of [
    ['alter table people drop column name', ['people.name is gone, or of another type']],
    ['alter table people alter column name type int using 1', ['people.name is gone, or of another type']],
    ['alter table people rename column name to called', ['people.name is gone, or of another type']],
    [
      'alter table people add column age int not null',
      ['people.age must be given, and whoever does not know it cannot']
    ],
    [
      'alter table people alter column name set not null',
      ['people.name must be given, and whoever does not know it cannot']
    ],
    [
      'create unique index on people (name)',
      ['new: people: CREATE UNIQUE INDEX people_name_idx ON public.people USING btree (name)']
    ],
    ["alter table people add check (name <> '')", ["new: people: CHECK ((name <> ''::text))"]],
    ['alter table people add column age int not null default 1; create table pets (id int primary key)', []]
  ] as const) {
    await db.query('begin')
    t.same(await findBreaksOf(db, step), [breaks], step)
    await db.query('rollback')
  }
})
