import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { listMigrations } from '../../src/db/migrator.ts'
import {
  build, embeddedEnv, freshEmbeddedEnv, scratchFolder, secret, serversEnv, withoutTables, type Env
} from '../support/app.ts'
import { asProcess, fail, signout, succeed } from '../support/cli.ts'
import { password } from '../support/people.ts'
import { onPostgres } from '../support/record.ts'
import { fetchFrom } from '../support/requests.ts'
import { messagesIn, spawnServer, startServer } from '../support/server-process.ts'

const unknown = (name: string, likely: string) =>
  `${name} is not a setting, so it has no effect: did you mean ${likely}?`

t.test('commands print a line for each misspelled setting, and never its value', async t => {
  const wrong = { REDIS_URI: 'redis://:hush@redis.example', ACCES_TOKEN_TTL: 'hush', REDIS_HOST: 'hush' }
  const env = { ...await serversEnv(t), ...wrong }
  const warnings = [
    `signout: ${unknown('REDIS_URI', 'REDIS_URL')}`, `signout: ${unknown('ACCES_TOKEN_TTL', 'ACCESS_TOKEN_TTL')}`, ''
  ]
  for (const [run, args] of [
    [asProcess.signout, ['sessions', 'list', 'ada']], [signout, ['migrate']], [signout, ['check-config']],
    [signout, ['revoke', '--user', 'ada']]
  ] as const) {
    const { stdout, stderr } = await run(t, [...args], { env })
    t.same(stderr.split('\n').filter(line => !line.includes('There is no user')), warnings, args.join(' '))
    t.notMatch(`${stdout}${stderr}`, 'hush')
  }
  const { REDIS_URL: _, ...withoutRedis } = env as Env
  const refused = await signout(t, ['migrate'], { env: withoutRedis })
  t.match(
    refused.stderr, /^signout: REDIS_URI is .*\nsignout: ACCES_TOKEN_TTL is .*\nsignout: REDIS_URL is not set but/
  )
})

/** Writes the secrets of settings into files, and names the files instead. */
function inFiles (t: Test, env: Env, names: string[]): Env {
  const folder = scratchFolder(t)
  const entries = Object.entries(env).map(([name, value]) => {
    if (!names.includes(name)) return [name, value]
    writeFileSync(join(folder, name), `${value}\n`)
    return [`${name}_FILE`, join(folder, name)]
  })
  return Object.fromEntries(entries) as Env
}

t.test('a server starts with its secrets in files, and logs a misspelled setting', async t => {
  const env = inFiles(t, await serversEnv(t), ['DATABASE_URL', 'REDIS_URL', 'KEY_ENCRYPTION_SECRET'])
  t.equal(env['DATABASE_URL'], undefined)
  const server = await startServer(t, { ...env, ACCES_TOKEN_TTL: 'hush' })
  t.equal((await fetchFrom(server.address, 'GET /health/ready')).status, 200)
  t.match(server.output(), '"level":40,')
  t.equal(server.output().split(unknown('ACCES_TOKEN_TTL', 'ACCESS_TOKEN_TTL')).length, 2, 'one line')
  t.notMatch(server.output(), 'hush')
  t.notMatch(server.output(), secret)
  const checked = await succeed(t, ['check-config'], { env })
  t.match(checked, /^DATABASE_URL=postgres:.* {2}\(from DATABASE_URL_FILE\)$/m)
  t.match(checked, `KEY_ENCRYPTION_SECRET=(secret, ${secret.length} bytes)  (from KEY_ENCRYPTION_SECRET_FILE)\n`)
  const { stderr, code } = await signout(t, ['check-config'], { env: { ...env, REDIS_URL: 'redis://hush' } })
  t.equal(code, 1)
  t.equal(stderr, 'signout: REDIS_URL and REDIS_URL_FILE are both set: keep one of them.\n')
})

t.test('a server that cannot start prints a misspelled setting first', async t => {
  const { REDIS_URL: url = '', ...env } = await serversEnv(t)
  const server = spawnServer(t, { ...env, REDIS_URI: url })
  t.equal(await server.ended, 1)
  t.match(
    messagesIn(server.output()).join('\n'),
    /^REDIS_URI is not a .*\nsignout cannot start: REDIS_URL is not set but DATABASE_URL is: /
  )
})

const names = listMigrations()

t.test('with MIGRATE_ON_START=no a start on older tables says to run signout migrate, and changes nothing', async t => {
  const env: Env = { ...await withoutTables(t, await serversEnv(t)), MIGRATE_ON_START: 'no' }
  const { host, pathname } = new URL(String(env['DATABASE_URL']))
  const where = `postgres://${host}${pathname}`
  const refusal = (missing: string) =>
    `DATABASE_URL: the tables at ${where} are older than this version: ${missing}, and MIGRATE_ON_START is no. Run signout migrate first.`
  const server = spawnServer(t, { ...env, PORT: '0' })
  t.equal(await server.ended, 1)
  const line = `signout cannot start: ${refusal(`${names.length} migrations are missing`)}`
  t.same(messagesIn(server.output()), [line])
  t.match(await fail(t, 1, ['user', 'list'], { env }), /Run signout migrate first\.$/)
  t.match(await succeed(t, ['check-config'], { env }), 'no start works before signout migrate applies ')
  t.same(
    (await succeed(t, ['migrate', '--dry-run'], { env })).split('\n'),
    [
      `The tables at ${where} are older than this version. signout migrate would apply ${names.length} migrations:`,
      ...names.slice(0, 10).map(name => `  ${name}`),
      ...names.length > 10 ? [`… and ${names.length - 10} more. --json lists all.`] : [], ''
    ]
  )
  t.same(
    JSON.parse(await succeed(t, ['migrate', '--dry-run', '--json'], { env })),
    { database: where, dry_run: true, migrations: names }
  )
  t.same(await onPostgres(env, "select from pg_tables where schemaname in ('public', 'drizzle')"), [])
  t.same(
    JSON.parse(await succeed(t, ['migrate', '--json'], { env })),
    { database: where, dry_run: false, migrations: names }
  )
  t.match(await succeed(t, ['migrate', '--dry-run'], { env }), 'are up to date: nothing had to be done.\n')
  await (await build(t, env)).close()
  const applied = 'drizzle.__drizzle_migrations'
  await onPostgres(env, `delete from ${applied} where created_at = (select max(created_at) from ${applied})`)
  t.equal(await fail(t, 1, ['user', 'list'], { env }), refusal('1 migration is missing'))
  await onPostgres(env, `insert into ${applied} (hash, created_at) values ('later', 9999999999999)`)
  await build(t, env)
  t.equal(await succeed(t, ['user', 'list'], { env }), 'There are no such users.\n', 'later tables are accepted')
})

t.test('embedded: MIGRATE_ON_START=no and migrate --dry-run leave the folder to signout migrate', async t => {
  const env = { ...freshEmbeddedEnv(t), MIGRATE_ON_START: 'no' }
  const folder = join(scratchFolder(t), 'new')
  t.match(
    await succeed(t, ['migrate', '--dry-run'], { env: { ...env, DATA_DIR: folder } }),
    `signout migrate would apply ${names.length} migrations:\n`
  )
  t.notOk(existsSync(folder), 'no folder was created')
  t.match(await fail(t, 1, ['user', 'list'], { env }), /^DATA_DIR: the tables at .* are older than this version: /)
  for (const time of ['once', 'again']) {
    t.match(await succeed(t, ['migrate', '--dry-run'], { env }), `would apply ${names.length} migrations`, time)
  }
  const ready = { ...await embeddedEnv(t), MIGRATE_ON_START: 'no' }
  t.match(await succeed(t, ['user', 'create', 'ada'], { env: ready, input: password }), 'Created the user ada')
  t.match(await succeed(t, ['migrate', '--dry-run'], { env: ready }), 'nothing had to be done')
})
