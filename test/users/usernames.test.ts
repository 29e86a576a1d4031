import { readMigrationFiles } from 'drizzle-orm/migrator'
import pg from 'pg'
import t, { type Test } from 'tap'
import { foldCase } from '../../src/db/case-folding.ts'
import { migrationsFolder } from '../../src/db/migrations-folder.ts'
import { build, embeddedEnv, serversEnv, type Env } from '../support/app.ts'
import { query } from '../support/database.ts'
import { password } from '../support/people.ts'
import { outcome, send } from '../support/requests.ts'
import { scratchDatabase } from '../support/services.ts'

/** In this locale, the lower case of `I` is `ı`, and of `İ` it is `i`. */
const turkish = "template template0 encoding 'UTF8' locale_provider icu icu_locale 'tr'"
const spellings = ['IRIS99', 'iris99', 'Iris99', 'iRiS99']

async function turkishEnv (t: Test): Promise<Env> {
  return { ...await serversEnv(t), DATABASE_URL: await scratchDatabase(t, turkish) }
}

async function connect (t: Test, { DATABASE_URL }: Env): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: DATABASE_URL })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** Applies the migrations of the release before the folded index. */
async function applyEarlierMigrations (client: pg.Client): Promise<void> {
  await client.query(
    'create schema drizzle; create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)'
  )
  for (const { sql, hash, folderMillis } of readMigrationFiles({ migrationsFolder })) {
    if (sql.join().includes('users_username_folded')) return
    for (const statement of sql) await client.query(statement)
    await client.query('insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)', [
      hash, folderMillis
    ])
  }
}

for (const [title, toEnv] of Object.entries({
  PGlite: embeddedEnv, Postgres: serversEnv, 'a Postgres with a Turkish locale': turkishEnv
})) {
  t.test(`${title}: a username is one account in upper and lower case`, async t => {
    const app = await build(t, await toEnv(t))
    const [first, ...others] = spellings
    t.equal((await send(app, 'POST /register', { body: { username: first, password } })).statusCode, 201)
    for (const username of others) {
      t.equal(
        outcome(await send(app, 'POST /register', { body: { username, password } })), '409 username_taken', username
      )
    }
    for (const username of spellings) {
      t.equal(outcome(await send(app, 'POST /login', { body: { username, password } })), '200', username)
    }
    t.same(
      await query(app, 'select username from users where lower(username collate "C") = \'iris99\''),
      [{ username: first }],
      'it is kept as it was typed'
    )
    t.equal(
      outcome(await send(app, 'POST /login', { body: { username: '\u0131r\u0131s99', password } })),
      '401 invalid_credentials',
      'a letter that is not ASCII'
    )
  })
}

t.test('accounts that a Turkish locale distinguished all stay, and the one that could sign in keeps its name', async t => {
  const env = await turkishEnv(t)
  const client = await connect(t, env)
  await applyEarlierMigrations(client)
  const add = (username: string, age: number) =>
    client.query<{ id: string }>(
      'insert into users (id, username, password_hash, created_at) values (gen_random_uuid(), $1, $2, now() - make_interval(days => $3)) returning id',
      [username, '-', age]
    )
  const idOf = async (username: string, age: number) => (await add(username, age)).rows[0]?.id
  const oldest = await idOf('IRIS99', 3)
  const reachable = await idOf('iris99', 2)
  const other = await idOf('Iris99', 1)
  const alone = await idOf('ILGIN', 1)
  const early = await idOf('DIDI', 2)
  const late = await idOf('DIdi', 1)
  const untouched = await idOf('ada', 1)

  const app = await build(t, env)
  const names = new Map(
    (await query<{ id: string, username: string }>(app, 'select id, username from users')).map(({ id, username }) => [
      id, username
    ])
  )
  t.same(names, new Map([[oldest, `IRIS99.${oldest}`], [reachable, 'iris99'], [other, `Iris99.${other}`],
    [alone, 'ILGIN'], [early, 'DIDI'], [late, `DIdi.${late}`], [untouched, 'ada']]))
})

t.test('the previous release runs with the folded index, and reports that a name is taken', async t => {
  const env = await turkishEnv(t)
  const app = await build(t, env)
  t.equal((await send(app, 'POST /register', { body: { username: 'IRIS99', password } })).statusCode, 201)
  // The previous release executes this for POST /register. No returned row means `username_taken` there.
  const { rows } = await (
    await connect(t, env)
  ).query(
    `insert into "users" ("id", "username", "password_hash", "role", "status", "created_at")
    values (gen_random_uuid(), $1, $2, $3, default, default) on conflict do nothing returning "id"`,
    ['iris99', '-', 'user']
  )
  t.same(rows, [])
})

t.test('folding changes the letters A to Z, and no letter that only looks like one of them', async t => {
  t.equal(foldCase('IRIS99.A-Z@Example'), 'iris99.a-z@example')
  // The Kelvin sign, whose lower case is k, and the dotted capital I.
  t.equal(foldCase('\u212Aelvin \u0130ris'), '\u212Aelvin \u0130ris')
})
