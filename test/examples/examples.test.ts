import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { packageRoot } from '../../src/package-root.ts'
import { askAgain } from '../package/ask-again.ts'
import { startProgram, type RunningApp } from '../package/example.ts'
import { ownRedis, type OwnRedis } from '../support/redis-server.ts'
import { createDatabase, databaseOfTest } from '../support/services.ts'
import { undisturbed } from '../support/undisturbed.ts'
import { until } from '../support/wait.ts'
import { examples, examplesFolder, installExamples, readManifest } from './installed.ts'

const folderOf = await installExamples(t)

/** Starts two processes of an example, which share a Redis. */
async function startTwo (
  t: Test, name: string, redis: OwnRedis, file = 'app.js', env: Record<string, string> = {}
): Promise<[one: RunningApp, other: RunningApp]> {
  const options = { folder: folderOf(name), file, env: { REDIS_URL: redis.url, ...env } }
  return await Promise.all([startProgram(t, options), startProgram(t, options)])
}

async function ask (
  { address }: RunningApp, method: string, path: string, headers: Record<string, string> = {}
): Promise<number> {
  return (await fetch(`${address}${path}`, { method, headers, signal: AbortSignal.timeout(60_000) })).status
}

async function logIn ({ address }: RunningApp): Promise<{ authorization: string }> {
  let token = ''
  await askAgain(async () => {
    const answer = await fetch(`${address}/login`, { method: 'POST' })
    token = (await answer.json() as { token: string }).token
    return answer.status
  })
  return { authorization: `Bearer ${token}` }
}

/** Waits until both processes can check tokens again. */
async function untilChecked (apps: RunningApp[], headers: { authorization: string }): Promise<number[]> {
  let answers: number[] = []
  await until('both can check tokens', async () => {
    answers = await Promise.all(apps.map(app => ask(app, 'GET', '/secret', headers)))
    return !answers.includes(503)
  }, 60_000)
  return answers
}

/** Logs in at one process and out at the other. Both must refuse the token. Returns its header. */
async function expectLogout (t: Test, [one, other]: [RunningApp, RunningApp]): Promise<{ authorization: string }> {
  const headers = await logIn(one)
  t.same(await untilChecked([one, other], headers), [200, 200], 'both accept the token')
  t.equal(await askAgain(() => ask(other, 'POST', '/logout', headers), true), 200)
  t.same(await untilChecked([one, other], headers), [401, 401], 'both refuse it')
  return headers
}

t.test('smallest: a logout at one process counts at the other, also after Redis was emptied', async t => {
  const redis = await ownRedis(t)
  const apps = await startTwo(t, 'smallest', redis)
  const revoked = await expectLogout(t, apps)
  await redis.admin.flushall()
  t.same(await untilChecked(apps, revoked), [401, 401])
})

t.test('existing app: before, an emptied Redis lets a revoked token in again, and after it does not', async t => {
  const redis = await ownRedis(t)
  for (const [file, lost] of [['before.js', 200], ['after.js', 401]] as const) {
    const apps = await startTwo(t, 'existing-app', redis, file)
    const revoked = await expectLogout(t, apps)
    await redis.admin.flushall()
    t.same(await untilChecked(apps, revoked), [lost, lost], file)
  }
})

t.test('Postgres record: Redis is emptied, the logout still counts, and no user is signed out', async t => {
  const redis = await ownRedis(t)
  const env = { DATABASE_URL: await databaseOfTest(t, createDatabase) }
  const [program, args] = undisturbed(process.execPath, ['migrate.js'])
  execFileSync(program, args, { cwd: folderOf('postgres-record'), env: { PATH: process.env['PATH'], ...env } })
  const apps = await startTwo(t, 'postgres-record', redis, 'app.js', env)
  const revoked = await expectLogout(t, apps)
  const good = await logIn(apps[0])
  await redis.admin.flushall()
  t.same(await untilChecked(apps, good), [200, 200])
  t.same(await untilChecked(apps, revoked), [401, 401])
})

t.test('API keys: a logout counts, and while Redis stalls a token gets 503 and an API key is accepted', async t => {
  const redis = await ownRedis(t)
  const apps = await startTwo(t, 'api-keys', redis, 'app.js', { API_KEY: 'the key of a program' })
  await expectLogout(t, apps)
  const askAll = async (headers: Record<string, string>) =>
    await Promise.all(apps.map(app => ask(app, 'GET', '/secret', headers)))
  t.same(await askAll({}), [401, 401])
  t.same(await askAll({ 'x-api-key': 'another' }), [401, 401])
  const good = await logIn(apps[0])
  redis.pause()
  t.same(await askAll(good), [503, 503])
  t.same(await askAll({ 'x-api-key': 'the key of a program' }), [200, 200])
  redis.resume()
  t.same(await untilChecked(apps, good), [200, 200])
})

t.test('each example names the tarball of this version, a program that is there, and is in the list', async t => {
  const { version } = readManifest(packageRoot)
  const list = readFileSync(join(examplesFolder, 'README.md'), 'utf8')
  t.equal(examples.length, 6)
  for (const name of examples) {
    const { dependencies, scripts } = readManifest(join(examplesFolder, name))
    t.equal(dependencies['fastify-signout'], `file:../../tarballs/fastify-signout-${version}.tgz`, name)
    for (const script of Object.values(scripts)) {
      t.ok(readFileSync(join(examplesFolder, name, script.replace('node ', ''))).length > 0, script)
    }
    t.match(list, `](${name}/`, name)
  }
  const [one, other] = ['tenants', 'resource-server'].map(name => join(examplesFolder, name, 'jwks.js'))
  t.equal(readFileSync(String(one), 'utf8'), readFileSync(String(other), 'utf8'), 'both have one recipe')
})
