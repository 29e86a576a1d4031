import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { serversEnv, type Env } from '../support/app.ts'
import { password, signInAt } from '../support/people.ts'
import { fetchFrom } from '../support/requests.ts'
import { nodeArgs } from '../support/node-args.ts'
import { undisturbed } from '../support/undisturbed.ts'
import { until } from '../support/wait.ts'
import { confined, healthCommand, imageEnv, layOutImage } from './image.ts'

const { app, data } = layOutImage(t)

/** Starts the server of the image with the files of the image alone, as its user, and waits until it is ready. */
async function startImage (t: Test, settings: Env) {
  const port = await findFreePort()
  const env = {
    PATH: String(process.env['PATH']),
    ...imageEnv(),
    HOST: '127.0.0.1',
    PORT: String(port),
    DATA_DIR: data,
    ...settings
  }
  const [program, args] = confined([...undisturbed(process.execPath, [...nodeArgs, 'dist/src/server.js'], env)].flat())
  const child = spawn(program, args, { cwd: app, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => { output += String(chunk) })
  const ended = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const address = `http://127.0.0.1:${port}`
  await until('the server is ready', async () => {
    if (child.exitCode !== null) throw new Error(output)
    return (await fetch(`${address}/health/ready`).catch(() => undefined))?.ok === true
  }, 60_000)
  return { address, env, child, ended }
}

/** Runs the health check of the image. Returns its exit code, which is 0 if the service is healthy. */
function checkHealth (env: Env): number | null {
  const [program, args] = confined(healthCommand())
  return spawnSync(program, args, { cwd: app, env, timeout: 10_000 }).status
}

async function signUpAndOut (t: Test, address: string) {
  const username = 'ada'
  t.equal((await fetchFrom(address, 'POST /register', { body: { username, password } })).status, 201)
  const { access_token: token } = await signInAt(address, username)
  t.equal((await fetchFrom(address, 'POST /logout', { token })).status, 200)
  t.equal((await fetchFrom(address, 'GET /token', { token })).status, 401)
}

t.test('the files of the image are enough for a service with Postgres and Redis, which writes nothing', async t => {
  const { address, child, ended } = await startImage(t, await serversEnv(t))
  if (process.getuid?.() === 0) {
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
    t.match(status, /^Uid:\t1000\t1000\t1000\t1000$/m)
    t.match(status, /^CapBnd:\t0+$/m)
    t.match(status, /^CapEff:\t0+$/m)
    t.match(status, /^NoNewPrivs:\t1$/m)
  } else {
    t.throws(() => { accessSync(join(app, 'dist'), constants.W_OK) })
  }
  await signUpAndOut(t, address)
  t.same(readdirSync(data), [])
  child.kill('SIGTERM')
  t.same(await ended, [0, null], 'it stops on SIGTERM')
})

t.test('the embedded mode of the image writes to its volume alone', async t => {
  const { address } = await startImage(t, {})
  await signUpAndOut(t, address)
  t.ok(readdirSync(data).length > 0)
})

t.test('the health check of the image tells a service that answers from one that does not', async t => {
  const { env, child, ended } = await startImage(t, await serversEnv(t))
  t.not(healthCommand()[0], 'node')
  t.notMatch(healthCommand().join(' '), /\bnode\b/)
  // The container asks more than once too.
  await until('it is healthy', () => checkHealth(env) === 0, 30_000)
  child.kill('SIGSTOP')
  t.not(checkHealth(env), 0, 'a service that hangs')
  child.kill('SIGKILL')
  await ended
  t.not(checkHealth(env), 0, 'no service')
})

t.test('the health check of the image fails for any other answer than 200', async t => {
  const port = await findFreePort()
  const script = `require('http').createServer((q, a) => a.writeHead(q.url === '/health/live' ? 503 : 200).end())
    .listen(${port}, '127.0.0.1')`
  const child = spawn(process.execPath, ['-e', script], { stdio: 'ignore' })
  const ended = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  await until('the server listens', () => fetch(`http://127.0.0.1:${port}`).then(() => true, () => false))
  t.not(checkHealth({ PATH: String(process.env['PATH']), PORT: String(port) }), 0)
})

t.test('the files of the image hold no package for development, no npm and no source', async t => {
  for (const name of ['tap', 'typescript', 'tsx', 'npm', 'kubernetes-models']) {
    t.notOk(existsSync(join(app, 'node_modules', name)), name)
  }
  t.same(readdirSync(app).sort(), ['dist', 'node_modules', 'package.json', 'src'])
  t.same(readdirSync(join(app, 'src')), ['db'])
})
