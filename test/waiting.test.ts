import t from 'tap'
import { promptServersEnv } from './support/app.ts'
import { ownRedis } from './support/redis-server.ts'
import { proxied } from './support/replicas.ts'
import { spawnServer } from './support/server-process.ts'
import { timed, until } from './support/wait.ts'

t.test('a server that waits for Postgres exits with 0 at once on SIGTERM', async t => {
  const server = spawnServer(t, {
    ...await promptServersEnv(t), PORT: '0', DATABASE_URL: 'postgres://me:hush@127.0.0.1:1/db'
  })
  await until(
    'it waits, and has said so on both of its outputs',
    () => ['cannot start yet', 'Answering 503: '].every(text => server.output().includes(text)),
    60_000
  )
  t.match(
    server.output(),
    /^signout cannot start yet: DATABASE_URL: cannot connect to postgres:\/\/127\.0\.0\.1:1\/db \(.*ECONNREFUSED.*\)\. Start Postgres there, or correct the variable\. It is tried again every second, and requests get 503 until then\.$/m
  )
  t.match(server.output(), /Answering 503: http:\/\/127\.0\.0\.1:\d+/)
  t.notMatch(server.output(), 'hush')
  const { value: code, elapsedMs } = await timed(() => {
    server.child.kill('SIGTERM')
    return server.ended
  })
  t.equal(code, 0)
  t.ok(elapsedMs < 5_000, `after ${Math.round(elapsedMs)} ms`)
})

t.test('a server that waited for Postgres keeps its port when it becomes the service', async t => {
  const { proxy, env } = await proxied(t, { ...await promptServersEnv(t), PORT: '0' }, 'DATABASE_URL')
  proxy.stop()
  const server = spawnServer(t, env)
  await until(
    'it waits', () => ['cannot start yet', 'Answering 503: '].every(text => server.output().includes(text)), 60_000
  )
  const portAfter = (what: string) => new RegExp(`${what}: http://127.0.0.1:(\\d+)`).exec(server.output())?.[1]
  proxy.start()
  await until('it is the service', () => server.output().includes('Documentation: '), 60_000)
  t.type(portAfter('Listening'), 'string')
  t.equal(portAfter('Listening'), portAfter('Answering 503'))
})

t.test('a mistake that is found only once Postgres is reachable ends the server with 1 and its line', async t => {
  const redis = await ownRedis(t)
  await redis.admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
  const { proxy, env } = await proxied(t, { ...await promptServersEnv(t), REDIS_URL: redis.url, PORT: '0' }, 'DATABASE_URL')
  proxy.stop()
  const server = spawnServer(t, env)
  await until('it waits', () => server.output().includes('cannot start yet'), 60_000)
  proxy.start()
  t.equal(await server.ended, 1)
  t.match(
    server.output(),
    /^signout cannot start: REDIS_URL: the Redis at .* drops keys when its memory is full .* Set maxmemory-policy noeviction there\.$/m
  )
})

t.test('a server that cannot listen on its address exits, and does not wait for Postgres', async t => {
  const env = { ...await promptServersEnv(t), DATABASE_URL: 'postgres://me@127.0.0.1:1/db', HOST: '203.0.113.1' }
  const server = spawnServer(t, env)
  t.equal(await server.ended, 1)
  t.equal(server.output().trim(), 'signout cannot start: HOST 203.0.113.1 is not an address of this machine.')
})
