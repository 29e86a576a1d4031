import t, { type Test } from 'tap'
import { promptServersEnv } from './support/app.ts'
import { ownRedis } from './support/redis-server.ts'
import { proxied } from './support/replicas.ts'
import { messagesIn, spawnServer } from './support/server-process.ts'
import { timed, until } from './support/wait.ts'

t.test('a server that waits for Postgres or Redis exits with 0 at once on SIGTERM', async t => {
  for (const [name, url, cure] of [
    ['DATABASE_URL', 'postgres://me:hush@127.0.0.1:1/db', 'Start Postgres there, or correct the variable. '],
    ['REDIS_URL', 'redis://:hush@127.0.0.1:1', 'Start Redis there, or correct REDIS_URL. ']
  ] as const) {
    const { child, output, ended } = spawnServer(t, { ...await promptServersEnv(t), PORT: '0', [name]: url })
    await until(
      'it waits, and has said so on both of its outputs',
      () => ['cannot start yet', 'Answering 503: '].every(text => output().includes(text)),
      60_000
    )
    const line = messagesIn(output()).find(message => message.includes('cannot start')) ?? ''
    const shown = url.replace(/[^/]*@/, '')
    t.ok(line.startsWith(`signout cannot start yet: ${name}: cannot connect to ${shown} (`), line)
    t.match(line, 'ECONNREFUSED')
    t.ok(line.endsWith(cure + 'It is tried again every second, and requests get 503 until then.'), line)
    t.match(output(), /Answering 503: http:\/\/127\.0\.0\.1:\d+/)
    t.notMatch(output(), 'hush')
    const { value: code, elapsedMs } = await timed(() => {
      child.kill('SIGTERM')
      return ended
    })
    t.equal(code, 0)
    t.ok(elapsedMs < 10_000, `after ${Math.round(elapsedMs)} ms`)
  }
})

async function expectSamePort (t: Test, name: 'DATABASE_URL' | 'REDIS_URL'): Promise<void> {
  const { proxy, env } = await proxied(t, { ...await promptServersEnv(t), PORT: '0' }, name)
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
}

t.test('a server that waited keeps its port when it becomes the service', async t => {
  await t.test('for Postgres', t => expectSamePort(t, 'DATABASE_URL'))
  await t.test('for Redis', t => expectSamePort(t, 'REDIS_URL'))
})

t.test('a mistake that is found only once Postgres is reachable ends the server with 1 and its line', async t => {
  const redis = await ownRedis(t)
  await redis.admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
  const settings = { ...await promptServersEnv(t), REDIS_URL: redis.url, PORT: '0' }
  const { proxy, env } = await proxied(t, settings, 'DATABASE_URL')
  proxy.stop()
  const server = spawnServer(t, env)
  await until('it waits', () => server.output().includes('cannot start yet'), 60_000)
  proxy.start()
  t.equal(await server.ended, 1)
  t.match(
    messagesIn(server.output()).join('\n'),
    /^signout cannot start: REDIS_URL: the Redis at .* drops keys when its memory is full .* Set maxmemory-policy noeviction there\.$/m
  )
})

t.test('a server that cannot listen on its address exits, and does not wait for Postgres', async t => {
  const env = { ...await promptServersEnv(t), DATABASE_URL: 'postgres://me@127.0.0.1:1/db', HOST: '203.0.113.1' }
  const server = spawnServer(t, env)
  t.equal(await server.ended, 1)
  t.same(messagesIn(server.output()), [
    'signout cannot start: HOST 203.0.113.1 is not an address of this machine.'
  ])
})
