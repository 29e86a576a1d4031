import { chownSync, copyFileSync, chmodSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/config.ts'
import { StartupError } from '../../src/errors.ts'
import { buildUnready, serversEnv, type Env } from '../support/app.ts'
import { ownPostgres } from '../support/postgres-server.ts'
import { startNode } from '../support/redis-group.ts'
import { ownRedis } from '../support/redis-server.ts'
import { makeTls } from '../support/tls.ts'

/** Starts the service. Returns undefined if that succeeds, and otherwise the sentence of its error. */
async function refusal (t: Test, env: Env): Promise<string | undefined> {
  const app = buildUnready(t, loadConfig({ PORT: '0', ...env }))
  const error = await app.ready().then(() => undefined, (error: unknown) => error)
  await app.close()
  if (error !== undefined && !(error instanceof StartupError)) throw error
  return error?.message
}

async function expectCure (t: Test, env: Env, says: RegExp, cure: string): Promise<void> {
  const sentence = await refusal(t, env) ?? 'The service starts.'
  t.match(sentence, says)
  t.ok(sentence.endsWith(cure), sentence)
  t.notMatch(sentence, 'hush')
}

t.test('a start that Redis refuses names the cure of the cause', async t => {
  const [env, redis, tls] = [await serversEnv(t), await ownRedis(t), makeTls(t)]
  const { port } = await startNode(t, { lines: tls.lines, admin: tls.client })
  const plain = `127.0.0.1:${redis.port}`
  await redis.admin.config('SET', 'requirepass', 'right')
  for (const [url, says, cure] of [
    [`redis://${plain}`, /NOAUTH/, 'put it into REDIS_URL, as in redis://:password@host:6379, or into REDIS_PASSWORD.'],
    [`redis://:hush@${plain}`, /WRONGPASS/, 'password in REDIS_URL, or in REDIS_USERNAME and REDIS_PASSWORD.'],
    [`redis://:right@${plain}/9999`, /out of range/, 'correct the number at the end of REDIS_URL.'],
    ['redis://nowhere.invalid', /ENOTFOUND|EAI_AGAIN/, 'does not resolve: correct REDIS_URL, or the name service.'],
    [`rediss://${plain}`, /TIMEDOUT|SSL|packet length/, 'write redis:// in REDIS_URL.'],
    [`redis://127.0.0.1:${port}`, /./, 'If it only speaks TLS, write rediss:// in REDIS_URL.'],
    [`rediss://127.0.0.1:${port}`, /certificate/, 'set REDIS_TLS_CA to the certificate of its authority.']
  ] as const) {
    await t.test(url.replace(/\d{4,}/, '<port>'), t => expectCure(t, { ...env, REDIS_URL: url }, says, cure))
  }
  const trusted = { ...env, REDIS_URL: `rediss://127.0.0.1:${port}`, REDIS_TLS_CA: tls.caFile }
  t.equal(await refusal(t, trusted), undefined, 'with the cure it starts')
})

/** Makes a Postgres demand TLS and a password. */
async function secure (t: Test, url: string): Promise<{ caFile: string }> {
  const tls = makeTls(t)
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  const show = async (name: string) => (await admin.query(`show ${name}`)).rows[0][name] as string
  const folder = await show('data_directory')
  const { uid, gid } = statSync(folder)
  for (const [from, to] of [[tls.certFile, 'server.crt'], [tls.keyFile, 'server.key']] as const) {
    copyFileSync(from, join(folder, to))
    chmodSync(join(folder, to), 0o600)
    chownSync(join(folder, to), uid, gid)
  }
  writeFileSync(await show('hba_file'), 'hostssl all all 127.0.0.1/32 scram-sha-256\n')
  await admin.query("alter role signout password 'right'")
  await admin.query('alter system set ssl = on')
  await admin.query('select pg_reload_conf()')
  await admin.end()
  return tls
}

t.test('a start that Postgres refuses names the cure of the cause, without a warning of the driver', async t => {
  const warnings: string[] = []
  const listen = ({ message }: Error) => { warnings.push(message) }
  process.on('warning', listen)
  t.teardown(() => { process.off('warning', listen) })
  const [env, { url, port }] = [await serversEnv(t), await ownPostgres(t)]
  const at = (user: string, rest: string) => ({ ...env, DATABASE_URL: `postgres://${user}@127.0.0.1:${port}/${rest}` })
  await expectCure(t, at('signout', 'none'), /not exist/, 'Create the database (createdb), or name another one in it.')
  const encrypted = at('signout', 'postgres?sslmode=require')
  await expectCure(t, encrypted, /SSL/, 'remove sslmode from the variable, or turn ssl on there.')
  const { caFile } = await secure(t, url)
  const password = 'Correct the user and the password in the variable.'
  const trusting = `?sslmode=verify-full&sslrootcert=${caFile}`
  for (const [user, rest, says, cure] of [
    ['signout:right', '', /no encryption/, 'This Postgres only accepts TLS: add ?sslmode=verify-full to the variable.'],
    ['signout:right', '?sslmode=require', /certificate/, 'certificate of its authority (docs/postgres-tls.md).'],
    ['signout:hush', trusting, /password/, password],
    ['signout', trusting, /password/, password],
    ['signout:right', '?sslmode=require&sslrootcert=/nowhere', /ENOENT/, 'path of the certificate in the variable.']
  ] as const) {
    const title = `${user} ${rest.replace(caFile, '<file>')}`
    await t.test(title, t => expectCure(t, at(user, `postgres${rest}`), says, cure))
  }
  for (const mode of ['prefer', 'require', 'verify-ca', 'verify-full']) {
    t.equal(await refusal(t, at('signout:right', `postgres?sslmode=${mode}&sslrootcert=${caFile}`)), undefined, mode)
  }
  t.same(warnings, [])
})
