import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import pg from 'pg'
import t, { type Test } from 'tap'
import { createProgram } from '../../src/cli/program.ts'
import { loadConfig } from '../../src/config.ts'
import { Settings } from '../../src/settings/settings.ts'
import {
  build, buildUnready, freshEmbeddedEnv, issuer, scratchFolder, secret, serversEnv, withoutTables, type Env
} from '../support/app.ts'
import { entriesInRedis } from '../support/blocklist.ts'
import { asProcess, fail, signout, succeed } from '../support/cli.ts'
import { password, signUp } from '../support/people.ts'
import { proxyTo } from '../support/proxy.ts'
import { get } from '../support/requests.ts'
import { postgresUrl, redisUrl } from '../support/services.ts'
import { timed } from '../support/wait.ts'

/** Longer than any command that does not hang takes on a busy machine. */
const onlyAHangMs = 50_000

/** Counts the schemas and tables of a database, without those of Postgres itself. */
async function countThings (url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(
    "select (select count(*) from pg_namespace where nspname !~ '^pg_|^information_schema|^public$') + (select count(*) from pg_tables where schemaname !~ '^pg_|^information_schema') as count"
  )
  await client.end()
  return Number(rows[0].count)
}

/** Starts the service with these settings. */
const startOf = async (t: Test, env: Env) => { await buildUnready(t, loadConfig(env)).ready() }

/** The address of a proxy in front of a server, which takes connections and answers nothing. */
async function stalled (t: Test, url: string): Promise<string> {
  const address = new URL(url)
  const proxy = await proxyTo(t, address.hostname, Number(address.port))
  proxy.stall()
  address.hostname = '127.0.0.1'
  address.port = String(proxy.port)
  return address.href
}

const scrapeToken = 'a-token-for-those-who-scrape'

t.test('check-config prints every setting without secrets, checks both servers, and writes nothing', async t => {
  const env = await withoutTables(t, await serversEnv(t))
  const url = new URL(String(env['DATABASE_URL']))
  url.password ||= 'hush'
  url.search = '?application_name=hush'
  const settings = { ...env, DATABASE_URL: url.href, ACCESS_TOKEN_TTL: '60', METRICS_TOKEN: scrapeToken }
  const output = await succeed(t, ['check-config'], { env: settings })
  for (const name of Object.keys(Settings.properties)) t.match(output, new RegExp(`^${name}(=| is not set)`, 'm'))
  const where = `postgres://${url.host}${url.pathname}`
  for (const line of [
    'PORT=3000  (default)', 'ACCESS_TOKEN_TTL=60', `ISSUER=${issuer}`, `AUDIENCE=${issuer}  (default)`,
    'TRUST_PROXY is not set', `DATABASE_URL=${where}`, `KEY_ENCRYPTION_SECRET=(secret, ${secret.length} bytes)`
  ]) {
    t.match(output, `${line}\n`)
  }
  for (const hidden of [url.password, 'hush', secret, scrapeToken]) t.notMatch(output, hidden)
  t.match(
    output,
    `Postgres at ${where} can be reached, and its tables are not up to date: the next start, or signout migrate, applies `
  )
  t.match(output, `Redis at ${redisUrl()} can be reached, and is fit for a blocklist.`)
  t.equal(await countThings(String(env['DATABASE_URL'])), 0)
  t.same([...(await entriesInRedis(env)).keys()], [], 'no key in Redis')

  await t.test('migrate brings the tables up to date, and has nothing to do the second time', async t => {
    t.match(
      await succeed(t, ['migrate'], { env: settings }),
      new RegExp(`^The tables at ${where} are up to date: \\d+ migrations were applied\\.\n$`)
    )
    t.equal(
      await succeed(t, ['migrate'], { env: { ...settings, REDIS_URL: 'redis://127.0.0.1:1' } }),
      `The tables at ${where} are up to date: nothing had to be done.\n`,
      'it does not need Redis'
    )
    t.match(
      await succeed(t, ['check-config'], { env: settings }),
      `Postgres at ${where} can be reached, and its tables are up to date.`
    )
    await build(t, env)
  })
})

t.test('check-config refuses a prefix with the blocklist of another database, as a start does', async t => {
  const theirs = await serversEnv(t)
  await build(t, theirs)
  const env = await withoutTables(t, theirs)
  const refusal = new RegExp(
    `^REDIS_URL: the Redis at .* holds the blocklist of another database under the prefix ${env['BLOCKLIST_PREFIX']}\\. Choose another BLOCKLIST_PREFIX;`
  )
  t.match(await fail(t, 1, ['check-config'], { env }), refusal, 'without tables')
  await succeed(t, ['migrate'], { env })
  t.match(await fail(t, 1, ['check-config'], { env }), refusal, 'with a record of its own')
  await t.rejects(startOf(t, env), { name: 'StartupError', message: refusal }, 'a start')
  t.match(await succeed(t, ['check-config'], { env: theirs }), 'is fit for a blocklist.', 'whose it is may have it')
})

t.test('adopt-blocklist takes over the blocklist of another database, and no start does', async t => {
  const theirs = await serversEnv(t)
  await (await build(t, theirs)).close()
  const env = await withoutTables(t, theirs)
  await t.rejects(startOf(t, env), { name: 'StartupError', message: /adopt-blocklist/ })
  t.match(await succeed(t, ['adopt-blocklist'], { env }), `The blocklist under the prefix ${env.BLOCKLIST_PREFIX} at `)
  const app = await build(t, env)
  t.equal((await get(app, '/token', (await signUp(app)).token)).statusCode, 200)
  t.match(
    await fail(t, 1, ['check-config'], { env: theirs }),
    'holds the blocklist of another database',
    'it is theirs no more'
  )
})

t.test('check-config prints every mistake on its own line', async t => {
  const { code, stdout, stderr } = await signout(t, ['check-config'], {
    env: { PORT: 'http', CLOCK_LEEWAY: '-1', REDIS_URL: 'hush', KEY_ENCRYPTION_SECRET: 'hush' }
  })
  t.equal(code, 1)
  t.equal(stdout, '')
  t.notMatch(stderr, 'hush')
  t.same(
    stderr
      .trimEnd()
      .split('\n')
      .map(line => line.split(' ').slice(0, 4).join(' ')),
    [
      'signout: PORT is "http";', 'signout: REDIS_URL is 4', 'signout: CLOCK_LEEWAY is "-1";',
      'signout: KEY_ENCRYPTION_SECRET is 4', 'signout: DATABASE_URL is not', 'signout: ISSUER is not'
    ]
  )
})

t.test('check-config says for each server if it is reachable, and ends although a server stalls', async t => {
  const env = await serversEnv(t)
  const unreachable = { DATABASE_URL: 'postgres://me:hush@127.0.0.1:1/db', REDIS_URL: 'redis://:hush@127.0.0.1:1' }
  const stalling = { DATABASE_URL: await stalled(t, postgresUrl()), REDIS_URL: await stalled(t, redisUrl()) }
  await Promise.all(([[signout, unreachable], [asProcess.signout, stalling]] as const).map(async ([run, servers]) => {
    const options = { env: { ...env, ...servers, DATABASE_DEADLINE_MS: '1000' } }
    const { value: end, elapsedMs } = await timed(() => run(t, ['check-config'], options))
    t.equal(end?.code, 3)
    t.match(
      end?.stderr,
      /^signout: DATABASE_URL: cannot connect to .*\. Start Postgres there, or correct the variable\.\nsignout: REDIS_URL: cannot connect to .*\. Start Redis there, .*correct REDIS_URL.*\.\n$/
    )
    t.notMatch(`${end?.stdout}${end?.stderr}`, 'hush')
    t.ok(elapsedMs < onlyAHangMs)
  }))
  const { DATABASE_URL, REDIS_URL } = unreachable
  const withoutRedis = await signout(t, ['check-config'], { env: { ...env, REDIS_URL } })
  t.match(withoutRedis.stdout, / can be reached, and its tables are up to date/)
  t.match(withoutRedis.stderr, /^signout: REDIS_URL: [^\n]+\n$/)
  const withoutPostgres = await signout(t, ['check-config'], { env: { ...env, DATABASE_URL } })
  t.match(withoutPostgres.stdout, / can be reached, and is fit for a blocklist/)
  t.match(withoutPostgres.stderr, /^signout: DATABASE_URL: [^\n]+\n$/)
})

t.test('check-config refuses a Postgres that is read-only', async t => {
  const env = await serversEnv(t)
  const url = `${env['DATABASE_URL']}?options=-c%20default_transaction_read_only%3Don`
  t.match(
    await fail(t, 1, ['check-config'], { env: { ...env, DATABASE_URL: url } }),
    /^DATABASE_URL: .* is read-only: it may be a standby\. Name the primary, or turn default_transaction_read_only off\.$/
  )
})

t.test('a command that cannot reach a server prints one line, and does not hang', async t => {
  const env = await serversEnv(t)
  const cases = [
    [fail, ['migrate'], 'DATABASE_URL', 'postgres://me:hush@127.0.0.1:1/db'],
    [fail, ['adopt-blocklist'], 'REDIS_URL', 'redis://:hush@127.0.0.1:1'],
    [asProcess.fail, ['sessions', 'list', 'ada'], 'DATABASE_URL', await stalled(t, postgresUrl())],
    [asProcess.fail, ['adopt-blocklist'], 'REDIS_URL', await stalled(t, redisUrl())]
  ] as const
  await Promise.all(cases.map(async ([run, args, name, url]) => {
    const own = { [name]: url, ...name === 'DATABASE_URL' && { DATABASE_DEADLINE_MS: '1000' } }
    const { value: line, elapsedMs } = await timed(() =>
      run(t, 3, [...args], { env: { ...env, ...own }, input: password })
    )
    t.match(line, new RegExp(`^${name}: cannot connect to .*correct (the variable|${name})\\b.*\\.$`))
    t.notMatch(line, 'hush')
    t.ok(elapsedMs < onlyAHangMs, `${args.join(' ')}: ${elapsedMs} ms`)
  }))
})

t.test('every command but serve prints one line for a wrong setting', async t => {
  const commands = [
    ['migrate'], ['check-config'], ['adopt-blocklist'], ['user', 'create', 'ada'], ['user', 'disable', 'ada'],
    ['user', 'enable', 'ada'], ['user', 'list'], ['user', 'show', 'ada'], ['user', 'promote', 'ada'],
    ['user', 'demote', 'ada'], ['user', 'set-role', 'ada', 'x'],
    ['user', 'set-password', 'ada'], ['user', 'delete', 'ada', '--yes'],
    ['role', 'list'], ['role', 'set', 'x', 'y'], ['role', 'delete', 'x'],
    ['sessions', 'list', 'ada'], ['keys', 'list'], ['keys', 'rotate'],
    ['keys', 'retire', 'x'], ['keys', 'reencrypt'], ['revoke', '--user', 'ada'],
    ['client', 'list'], ['client', 'create', 'x'], ['client', 'rotate', 'x'], ['client', 'delete', 'x', '--yes']
  ]
  for (const args of commands) {
    const line = await fail(t, 1, args, { env: { PORT: 'http' } })
    t.equal(line, 'PORT is "http"; it must be a whole number from 0 to 65535.', args.join(' '))
  }
  const leaves = (command: Command): Command[] =>
    command.commands.length === 0 ? [command] : command.commands.flatMap(leaves)
  const names = leaves(createProgram({ onServing () {} })).map(command => command.name())
  t.same(names.filter(name => name !== 'serve').sort(), commands.map(([name, sub]) =>
    ['user', 'role', 'sessions', 'keys', 'client'].includes(String(name)) ? sub : name).sort(), 'none is left out')
})

t.test('embedded: migrate creates the tables, and check-config creates no file', async t => {
  const env = freshEmbeddedEnv(t)
  const folder = String(env['DATA_DIR'])
  t.match(await succeed(t, ['check-config'], { env }), `Embedded: the database is in ${folder} and was not opened`)
  t.same(readdirSync(folder), [])
  t.match(
    await succeed(t, ['migrate'], { env }),
    new RegExp(`^The tables at ${folder} are up to date: \\d+ migrations were applied\\.\n$`)
  )
  t.equal(await succeed(t, ['migrate'], { env }), `The tables at ${folder} are up to date: nothing had to be done.\n`)
  await build(t, env)
})

t.test('migrate and user create print one line for a folder that cannot be written', async t => {
  const file = join(scratchFolder(t), 'file')
  writeFileSync(file, '')
  await Promise.all([['migrate'], ['user', 'create', 'ada']].map(async args => {
    t.equal(
      await fail(t, 1, args, { env: { ISSUER: issuer, DATA_DIR: file }, input: password }),
      `DATA_DIR ${file} cannot be written (EEXIST): name a folder that this user may write.`
    )
  }))
})
