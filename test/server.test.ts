import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findFreePort } from '../scripts/services/programs.ts'
import {
  embeddedEnv, freshEmbeddedEnv, issuer, scratchFolder, secret, serversEnv, withoutTables, type Env
} from './support/app.ts'
import { password, signInAt } from './support/people.ts'
import { proxyTo } from './support/proxy.ts'
import { fetchFrom } from './support/requests.ts'
import { spawnServer, startServer, type ServerProcess } from './support/server-process.ts'
import { redisUrl, postgresUrl } from './support/services.ts'
import { until } from './support/wait.ts'

/** Registers a user at a server process, and returns an access token. */
async function signUpAt (address: string, username: string): Promise<string> {
  await fetchFrom(address, 'POST /register', { body: { username, password } })
  return (await signInAt(address, username)).access_token
}

/** Runs a server that cannot start, and returns the line that it prints at the end. */
async function refusalOf (t: Test, env: Env): Promise<string> {
  const { child, ended, output } = spawnServer(t, { PORT: '0', ...env })
  const tooLong = setTimeout(() => { child.kill('SIGKILL') }, 60_000)
  t.equal(await ended, 1, 'it exits with 1')
  clearTimeout(tooLong)
  const lines = output().trimEnd().split('\n').filter(line => !line.startsWith('{'))
  t.equal(lines.length, 1, `it says one line: ${output()}`)
  return lines[0] ?? ''
}

t.test('embedded: the server logs its storage in JSON lines, and closes its data to other users', async t => {
  const env = freshEmbeddedEnv(t)
  const dataDir = String(env['DATA_DIR'])
  const first = await startServer(t, env)
  const messages = first.output().trimEnd().split('\n').map(line => JSON.parse(line).msg)
  t.match(messages, [
    /^signout \d+\.\d+\.\d+$/, `Database: embedded Postgres in ${dataDir}/postgres`,
    'Blocklist: in the memory of this process', `Listening: ${first.address}`, `Documentation: ${first.address}/docs`
  ])
  t.equal(statSync(dataDir).mode & 0o777, 0o700)
  t.equal(statSync(join(dataDir, 'key-encryption-secret')).mode & 0o777, 0o600)
  const token = await signUpAt(first.address, 'ada')

  await t.test('embedded: a second process on the same folder is refused with one line', async t => {
    t.equal(
      await refusalOf(t, env),
      `signout cannot start: DATA_DIR ${dataDir} is in use by another process: stop it first, or name another folder.`
    )
  })

  await t.test('embedded: the next start after a SIGKILL has the users and the signing key', async t => {
    first.child.kill('SIGKILL')
    await first.ended
    const second = await startServer(t, env)
    t.equal((await fetchFrom(second.address, 'GET /me', { token })).status, 200)
    second.child.kill('SIGTERM')
    t.equal(await second.ended, 0)
  })
})

t.test('servers: the server logs the addresses of Postgres and Redis, and never a password', async t => {
  const env = await serversEnv(t)
  const url = new URL(String(env['DATABASE_URL']))
  url.password ||= 'a-password-that-is-not-shown'
  const server = await startServer(t, { ...env, DATABASE_URL: url.href })
  t.match(server.output(), `Database: Postgres at postgres://${url.host}${url.pathname}"`)
  t.match(server.output(), `Blocklist: Redis at redis://${new URL(redisUrl()).host}`)
  t.notMatch(server.output(), url.password)
  t.notMatch(server.output(), secret)
})

/** Opens a connection, and sends the beginning of a request. */
async function beginRequest (t: Test, address: string, text: string): Promise<Socket> {
  const { hostname, port } = new URL(address)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => { /* It is cut off, as it should be. */ })
  t.teardown(() => { socket.destroy() })
  await new Promise(resolve => socket.write(text, resolve))
  return socket
}

/** Starts a server whose Redis stalls during a logout. */
async function startLogout (t: Test, env: Env, deadlineMs: number) {
  const redis = new URL(redisUrl())
  const proxy = await proxyTo(t, redis.hostname, Number(redis.port || 6379))
  const server = await startServer(t, {
    ...env, REDIS_URL: `redis://127.0.0.1:${proxy.port}`, BLOCKLIST_DEADLINE_MS: String(deadlineMs)
  })
  const token = await signUpAt(server.address, 'ada')
  proxy.stall()
  const logout = fetchFrom(server.address, 'POST /logout', { token })
  await until('the logout is under way', () => server.output().includes('"url":"/logout"'))
  return { proxy, server, token, logout }
}

t.test('on SIGTERM the server finishes requests in flight, answers those that arrive, and exits with 0', async t => {
  const env = await serversEnv(t)
  const verifier = await startServer(t, env)
  const { proxy, server, token, logout } = await startLogout(t, env, 5_000)
  const arriving = await beginRequest(t, server.address, 'GET /health/live HTTP/1.1\r\n')
  server.child.kill('SIGTERM')
  await until('it no longer accepts', async () =>
    await fetchFrom(server.address, 'GET /health/live').then(() => false, () => true))
  let answer = ''
  arriving.on('data', data => { answer += data })
  arriving.write('Host: a\r\n\r\n')
  await until('the request on an open connection is answered', () => answer.includes('\r\n'))
  t.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
  proxy.resume()
  t.equal((await logout).status, 200, 'the logout was finished')
  t.equal(await server.ended, 0)
  t.equal((await fetchFrom(verifier.address, 'GET /me', { token })).status, 401, 'and was true')
})

t.test('on SIGTERM a logout that cannot be confirmed is answered 503, and the process still ends', async t => {
  const { server, logout } = await startLogout(t, await serversEnv(t), 1_000)
  server.child.kill('SIGTERM')
  t.equal((await logout).status, 503)
  t.equal(await server.ended, 0)
})

t.test('on SIGTERM the server does not wait for connections without a complete request', async t => {
  const server = await startServer(t, await serversEnv(t))
  for (const text of ['', 'GET /me HTTP/1.1\r\nHost: a\r\n']) await beginRequest(t, server.address, text)
  server.child.kill('SIGTERM')
  t.equal(await server.ended, 0)
  t.notMatch(server.output(), 'timeout')
})

t.test('LOG_LEVEL limits how much the server logs', async t => {
  const port = String(await findFreePort())
  const server = spawnServer(t, { ...await serversEnv(t), PORT: port, LOG_LEVEL: 'error' })
  await until('it answers', () =>
    fetchFrom(`http://127.0.0.1:${port}`, 'GET /health/live').then(
      ({ ok }) => ok, () => false
    ), 60_000)
  server.child.kill('SIGTERM')
  t.equal(await server.ended, 0)
  t.equal(server.output(), '')
})

t.test('ten replicas that start at once on an empty database share one signing key', async t => {
  const env = await withoutTables(t, await serversEnv(t))
  const replicas = await Promise.all(Array.from({ length: 10 }, () => startServer(t, env)))
  const keys = await Promise.all(
    replicas.map(async ({ address }) => await (await fetchFrom(address, 'GET /.well-known/jwks.json')).text())
  )
  t.equal(new Set(keys).size, 1)
  const [first, second] = replicas as [ServerProcess, ServerProcess]
  await fetchFrom(first.address, 'POST /register', { body: { username: 'ada', password } })
  const { access_token: token } = await signInAt(second.address, 'ada')
  for (const { address } of replicas) {
    t.equal((await fetchFrom(address, 'GET /me', { token })).status, 200)
  }
})

/** Settings that the service cannot start with, each with the line that it prints. */
async function mistakes (t: Test, env: Env): Promise<Array<[Env, string | RegExp]>> {
  const taken = createServer()
  await new Promise<void>(resolve => { taken.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { taken.close() })
  const port = String((taken.address() as AddressInfo).port)
  const file = join(scratchFolder(t), 'file')
  writeFileSync(file, '')
  const damaged = scratchFolder(t)
  mkdirSync(join(damaged, 'postgres'))
  writeFileSync(join(damaged, 'postgres', 'PG_VERSION'), '9')
  const emptySecret = String((await embeddedEnv(t))['DATA_DIR'])
  writeFileSync(join(emptySecret, 'key-encryption-secret'), '')
  const unknownDatabase = new URL(postgresUrl())
  unknownDatabase.pathname = '/there_is_no_such_database'

  return [
    [{ PORT: 'abc', ISSUER: issuer }, 'PORT is "abc"; it must be a whole number from 0 to 65535.'],
    [{ ...env, PORT: port }, `PORT ${port} on 127.0.0.1 is in use: stop what listens there, or choose another port.`],
    [{ ...env, HOST: '203.0.113.1' }, 'HOST 203.0.113.1 is not an address of this machine.'],
    [
      { ISSUER: issuer, DATA_DIR: file },
      `DATA_DIR ${file} cannot be written (EEXIST): name a folder that this user may write.`
    ],
    [
      { ...env, REDIS_URL: `${redisUrl().replace(/\/$/, '')}/9999` },
      /^REDIS_URL: cannot connect to .*\/9999 \(.*DB index is out of range\)/
    ],
    [
      { ...env, DATABASE_URL: `${env['DATABASE_URL']}?sslmode=verify-full&sslrootcert=/nowhere` },
      /^DATABASE_URL: cannot connect to .* \(ENOENT/
    ],
    [{ ISSUER: issuer, DATA_DIR: damaged }, /^DATA_DIR: the database in .* cannot be opened \(/],
    [
      { ISSUER: issuer, DATA_DIR: emptySecret },
      `DATA_DIR: the secret in ${join(emptySecret, 'key-encryption-secret')} is damaged: restore it from a backup.`
    ],
    [
      { ...env, REDIS_URL: 'redis://:hush@127.0.0.1:1' },
      /^REDIS_URL: cannot connect to redis:\/\/127\.0\.0\.1:1 \(.*ECONNREFUSED.*\)\. Start Redis there, or correct the variable\.$/
    ],
    [
      { ...env, DATABASE_URL: 'postgres://me:hush@nowhere.invalid/db' },
      /^DATABASE_URL: cannot connect to postgres:\/\/nowhere\.invalid\/db \(getaddrinfo .*\)\. Start Postgres there, or correct the variable\.$/
    ],
    [
      { ...env, DATABASE_URL: unknownDatabase.href },
      /^DATABASE_URL: cannot connect to .* \(database "there_is_no_such_database" does not exist\)/
    ]
  ]
}

t.test('every mistake at start is refused with one line that names the variable and the cure', async t => {
  const env = await serversEnv(t)
  for (const [wrong, line] of await mistakes(t, env)) {
    const refusal = await refusalOf(t, wrong)
    const message = refusal.replace(/^signout cannot start: /, '')
    if (typeof line === 'string') t.equal(message, line)
    else t.match(message, line)
    t.notMatch(refusal, 'hush', 'no password')
  }

  await t.test('a start with another KEY_ENCRYPTION_SECRET than that of the signing key is refused with the cure', async t => {
    const server = await startServer(t, env)
    server.child.kill('SIGTERM')
    await server.ended
    t.equal(
      await refusalOf(t, { ...env, KEY_ENCRYPTION_SECRET: 'x'.repeat(32) }),
      'signout cannot start: KEY_ENCRYPTION_SECRET does not open the signing key in the database: start with the secret that the key was made under. (In embedded mode, where the variable is not set, it is the file key-encryption-secret in DATA_DIR.)'
    )
  })
})

t.test('embedded with KEY_ENCRYPTION_SECRET stores no secret of its own, and keeps the mode of the folder', async t => {
  const env = await embeddedEnv(t)
  const dataDir = String(env['DATA_DIR'])
  chmodSync(dataDir, 0o755)
  await startServer(t, { ...env, KEY_ENCRYPTION_SECRET: secret })
  t.notOk(existsSync(join(dataDir, 'key-encryption-secret')))
  t.equal(statSync(dataDir).mode & 0o777, 0o755)
})

t.test('the server reads .env, and the environment takes precedence', async t => {
  const folder = scratchFolder(t)
  writeFileSync(join(folder, '.env'), `# a comment\nISSUER=${issuer}\nLOG_LEVEL=silent\nDATA_DIR=data\n`)
  const server = await startServer(t, { cwd: folder, LOG_LEVEL: 'info' })
  t.match(server.output(), `Database: embedded Postgres in ${folder}/data/postgres`)
  t.equal(statSync(join(folder, 'data')).mode & 0o777, 0o700, 'a folder that it makes is closed to others')
})
