import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findFreePort } from '../scripts/services/programs.ts'
import { loadConfig } from '../src/config.ts'
import { OutageError, StartupError } from '../src/errors.ts'
import {
  build, buildUnready, embeddedEnv, issuer, scratchFolder, secret, serversEnv, withoutTables, type Env
} from './support/app.ts'
import { password, signInAt } from './support/people.ts'
import { proxyTo, type Proxy } from './support/proxy.ts'
import { fetchFrom } from './support/requests.ts'
import { messagesIn, spawnServer, startServer, type ServerProcess } from './support/server-process.ts'
import { redisUrl, postgresUrl } from './support/services.ts'
import { until } from './support/wait.ts'

/** Registers a user at a server process, and returns an access token. */
async function signUpAt (address: string, username: string): Promise<string> {
  await fetchFrom(address, 'POST /register', { body: { username, password } })
  return (await signInAt(address, username)).access_token
}

/** Runs a server process that cannot start. Returns its last line, without `signout cannot start: `. */
async function refusalOf (t: Test, env: Env): Promise<string> {
  const { child, ended, output } = spawnServer(t, { PORT: '0', ...env })
  const tooLong = setTimeout(() => { child.kill('SIGKILL') }, 60_000)
  t.equal(await ended, 1, 'it exits with 1')
  clearTimeout(tooLong)
  const lines = messagesIn(output()).filter(line => line.includes('cannot start'))
  t.equal(lines.length, 1, `it says one line: ${output()}`)
  t.match(lines[0], /^signout cannot start: /)
  return String(lines[0]).replace('signout cannot start: ', '')
}

/** Starts the service in this process, which must refuse. Returns the line that a server process would print. */
async function refusalHere (t: Test, env: Env): Promise<string> {
  const app = buildUnready(t, loadConfig({ PORT: '0', ...env }))
  const error = await app.ready().then(() => undefined, (error: unknown) => error)
  await app.close()
  if (!(error instanceof StartupError)) throw error ?? new Error('The service starts.')
  t.notOk(error instanceof OutageError, 'the server does not wait')
  t.notMatch(error.message, '\n', 'it says one line')
  return error.message
}

t.test('embedded: the server logs its storage in JSON lines, and closes its data to other users', async t => {
  const folder = scratchFolder(t)
  const dataDir = join(folder, 'data')
  writeFileSync(join(folder, '.env'), `# a comment\nISSUER=${issuer}\nLOG_LEVEL=silent\nDATA_DIR=data\n`)
  const first = await startServer(t, { cwd: folder, LOG_LEVEL: 'info' })
  const messages = first.output().trimEnd().split('\n').map(line => JSON.parse(line).msg)
  t.match(messages, [
    `Making the database in ${dataDir}. Only the first start does.`,
    /^signout \d+\.\d+\.\d+$/, `Database: embedded Postgres in ${dataDir}/postgres`,
    'Blocklist: in the memory of this process', `Listening: ${first.address}`, `Documentation: ${first.address}/docs`
  ])
  t.equal(statSync(join(dataDir, 'key-encryption-secret')).mode & 0o777, 0o600)
  const token = await signUpAt(first.address, 'ada')
  const env = { ISSUER: issuer, DATA_DIR: dataDir }

  await t.test('the server reads .env, and the environment takes precedence', async t => {
    t.match(first.output(), `Database: embedded Postgres in ${folder}/data/postgres`)
    t.equal(statSync(dataDir).mode & 0o777, 0o700, 'a folder that it makes is closed to others')
  })

  await t.test('embedded: a second process on the same folder is refused with one line', async t => {
    t.equal(
      await refusalOf(t, env),
      `DATA_DIR ${dataDir} is in use by another process: stop it first, or name another folder.`
    )
  })

  await t.test('embedded: the next start after a SIGKILL has the users and the signing key', async t => {
    first.child.kill('SIGKILL')
    await first.ended
    const second = await startServer(t, env)
    t.notMatch(second.output(), 'Making the database')
    t.equal((await fetchFrom(second.address, 'GET /me', { token })).status, 200)
    second.child.kill('SIGTERM')
    t.equal(await second.ended, 0)
  })
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

/** Returns a proxy in front of Redis. */
function proxyToRedis (t: Test): Promise<Proxy> {
  const { hostname, port } = new URL(redisUrl())
  return proxyTo(t, hostname, Number(port || 6379))
}

/** Returns the settings of a server that reaches Redis through a proxy. */
const redisThrough = ({ port }: Proxy, BLOCKLIST_DEADLINE_MS: string) =>
  ({ REDIS_URL: `redis://127.0.0.1:${port}`, LOG_LEVEL: 'debug', BLOCKLIST_DEADLINE_MS })

/** Starts a logout at a server, whose Redis stalls meanwhile. */
async function startLogout (server: ServerProcess, proxy: Proxy) {
  const { access_token: token } = await signInAt(server.address, 'ada')
  proxy.stall()
  const logout = fetchFrom(server.address, 'POST /logout', { token })
  await until('the logout is under way', () => server.output().includes('"path":"/logout"'))
  return { token, logout }
}

t.test('ten replicas that start at once on an empty database share one signing key', async t => {
  const env = await withoutTables(t, await serversEnv(t))
  const url = new URL(String(env['DATABASE_URL']))
  url.password ||= 'a-password-that-is-not-shown'
  const [finishing, failing] = [await proxyToRedis(t), await proxyToRedis(t)]
  const settings = [{}, redisThrough(finishing, '10000'), redisThrough(failing, '4000')]
  const replicas = await Promise.all(Array.from({ length: 10 }, (_, index) =>
    startServer(t, { ...env, DATABASE_URL: url.href, ...settings[index] })))
  const [first, second, third] = replicas as [ServerProcess, ServerProcess, ServerProcess]
  const keys = await Promise.all(replicas.map(async ({ address }) =>
    await (await fetchFrom(address, 'GET /.well-known/jwks.json')).text()))
  t.equal(new Set(keys).size, 1)
  await fetchFrom(first.address, 'POST /register', { body: { username: 'ada', password } })
  const { access_token: token } = await signInAt(second.address, 'ada')
  for (const { address } of replicas) {
    t.equal((await fetchFrom(address, 'GET /me', { token })).status, 200)
  }

  await t.test('servers: the server logs the addresses of Postgres and Redis, and never a password', async t => {
    t.match(first.output(), `Database: Postgres at postgres://${url.host}${url.pathname}"`)
    t.match(first.output(), `Blocklist: Redis at redis://${new URL(redisUrl()).host}`)
    t.notMatch(first.output(), url.password)
    t.notMatch(first.output(), secret)
  })

  await t.test('on SIGTERM the server finishes requests in flight, answers those that arrive, and exits with 0', async t => {
    const { token, logout } = await startLogout(second, finishing)
    const arriving = await beginRequest(t, second.address, 'GET /health/live HTTP/1.1\r\n')
    second.child.kill('SIGTERM')
    await until('it no longer accepts', async () =>
      await fetchFrom(second.address, 'GET /health/live').then(() => false, () => true))
    let answer = ''
    arriving.on('data', data => { answer += data })
    arriving.write('Host: a\r\n\r\n')
    await until('the request on an open connection is answered', () => answer.includes('\r\n'))
    t.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
    finishing.resume()
    t.equal((await logout).status, 200, 'the logout was finished')
    t.equal(await second.ended, 0)
    t.equal((await fetchFrom(first.address, 'GET /me', { token })).status, 401, 'and was true')
  })

  await t.test('on SIGTERM a logout that cannot be confirmed is answered 503, and the process still ends', async t => {
    const { logout } = await startLogout(third, failing)
    third.child.kill('SIGTERM')
    t.equal((await logout).status, 503)
    t.equal(await third.ended, 0)
  })
})

t.test('LOG_LEVEL limits how much the server logs', async t => {
  const port = String(await findFreePort())
  const address = `http://127.0.0.1:${port}`
  const server = spawnServer(t, { ...await serversEnv(t), PORT: port, LOG_LEVEL: 'error' })
  await until('it answers', () => fetchFrom(address, 'GET /health/live').then(({ ok }) => ok, () => false), 60_000)

  await t.test('on SIGTERM the server does not wait for connections without a complete request', async t => {
    for (const text of ['', 'GET /me HTTP/1.1\r\nHost: a\r\n']) await beginRequest(t, address, text)
    server.child.kill('SIGTERM')
    t.equal(await server.ended, 0)
    t.notMatch(server.output(), 'timeout')
  })

  t.equal(server.output(), '')
})

/** Settings that the service cannot start with, each with the line that it prints, and with a way to start. */
async function mistakes (t: Test, env: Env): Promise<Array<[typeof refusalOf, Env, string | RegExp]>> {
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
  const unmade = join(scratchFolder(t), 'data')
  const unknownDatabase = new URL(postgresUrl())
  unknownDatabase.pathname = '/there_is_no_such_database'

  return [
    [refusalOf, { PORT: 'abc', ISSUER: issuer }, 'PORT is "abc"; it must be a whole number from 0 to 65535.'],
    [
      refusalOf, { ...env, PORT: port },
      `PORT ${port} on 127.0.0.1 is in use: stop what listens there, or choose another port.`
    ],
    [refusalOf, { ISSUER: issuer, DATA_DIR: unmade, METRICS_PORT: port }, /^METRICS_PORT \d+ on 127\.\S+ is in use: /],
    [refusalOf, { ...env, HOST: '203.0.113.1' }, 'HOST 203.0.113.1 is not an address of this machine.'],
    [
      refusalHere, { ISSUER: issuer, DATA_DIR: file },
      `DATA_DIR ${file} cannot be written (EEXIST): name a folder that this user may write.`
    ],
    [
      refusalHere, { ...env, REDIS_URL: `${redisUrl().replace(/\/$/, '')}/9999` },
      /^REDIS_URL: cannot connect to .*\/9999 \(.*DB index is out of range\)\. This Redis has fewer databases/
    ],
    [
      refusalHere, { ...env, DATABASE_URL: `${env['DATABASE_URL']}?sslmode=verify-full&sslrootcert=/nowhere` },
      /^DATABASE_URL: cannot connect to .* \(ENOENT/
    ],
    [refusalHere, { ISSUER: issuer, DATA_DIR: damaged }, /^DATA_DIR: the database in .* cannot be opened \(/],
    [
      refusalHere, { ISSUER: issuer, DATA_DIR: emptySecret },
      `DATA_DIR: the secret in ${join(emptySecret, 'key-encryption-secret')} is damaged: restore it from a backup.`
    ],
    [
      refusalHere, { ...env, DATABASE_URL: 'postgres://me:hush@nowhere.invalid/db' },
      /^DATABASE_URL: cannot connect to postgres:\/\/nowhere\.invalid\/db \(getaddrinfo .*\)\. This host name does not resolve: correct the variable, or the name service\.$/
    ],
    [
      refusalOf, { ...env, DATABASE_URL: unknownDatabase.href },
      /^DATABASE_URL: cannot connect to .* \(database "there_is_no_such_database" does not exist\)\. Create the database/
    ]
  ]
}

t.test('every mistake at start is refused with one line that names the variable and the cure', async t => {
  const env = await serversEnv(t)
  for (const [refuse, wrong, line] of await mistakes(t, env)) {
    const message = await refuse(t, wrong)
    if (typeof line === 'string') t.equal(message, line)
    else t.match(message, line)
    t.notMatch(message, 'hush', 'no password')
    if (wrong['METRICS_PORT'] !== undefined) t.notOk(existsSync(String(wrong['DATA_DIR'])), 'it made no database')
  }

  await t.test('a start with another KEY_ENCRYPTION_SECRET than that of the keys is refused with the cure', async t => {
    await (await build(t, env)).close()
    t.equal(
      await refusalHere(t, { ...env, KEY_ENCRYPTION_SECRET: 'x'.repeat(32) }),
      'KEY_ENCRYPTION_SECRET does not open the keys in the database: start with the secret that they are encrypted under. If it was changed, set KEY_ENCRYPTION_SECRET_PREVIOUS to the one before. (In embedded mode, where the variable is not set, it is the file key-encryption-secret in DATA_DIR.)'
    )
  })
})
