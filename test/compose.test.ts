import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DCLinter } from 'dclint'
import { Redis } from 'ioredis'
import t from 'tap'
import { parse } from 'yaml'
import { findFreePort } from '../scripts/services/programs.ts'
import { loadConfig } from '../src/config.ts'
import { Settings } from '../src/settings/settings.ts'
import { packageRoot } from '../src/package-root.ts'
import { scratchFolder, secret } from './support/app.ts'
import { until } from './support/wait.ts'

interface Service {
  image?: string
  command?: string[]
  read_only?: boolean
  cap_drop?: string[]
  security_opt?: string[]
  user?: string
  tmpfs?: string[]
  environment: Record<string, string | number | null>
  ports: string[]
  networks?: string[]
  volumes?: string[]
  depends_on: Record<string, { condition: string }>
  healthcheck?: { test: string[] }
  restart?: string
  deploy: { replicas?: number, resources?: { limits?: { cpus?: string, memory?: string, pids?: number } } }
  stop_grace_period: string
}

interface Compose {
  services: Record<'api' | 'balancer' | 'postgres' | 'redis', Service>
  networks: Record<string, { ipam: { config: Array<{ subnet: string }> } }>
  configs: { haproxy: { file: string } }
}

const read = (path: string) => readFileSync(join(packageRoot, path), 'utf8')
const text = read('docker-compose.yml')
const given = { POSTGRES_PASSWORD: 'a-password', REDIS_SERVER_PASSWORD: 'another', KEY_ENCRYPTION_SECRET: secret }
const { services, networks, configs } = compose(given)

const otherRedis = {
  REDIS_SENTINELS: '',
  REDIS_MASTER_NAME: '',
  REDIS_CLUSTER_NODES: '',
  REDIS_USERNAME: '',
  REDIS_PASSWORD: '',
  REDIS_TLS_CA: ''
}

t.test('docker-compose.yml passes every setting that applies to the replicas, and no other', async t => {
  // Everything is in Postgres and Redis, so that the folder of the embedded mode is not used.
  // Docker Compose starts its own Redis, so the settings for another Redis are not used either.
  // Secrets are variables there, because Compose cannot write files for them into a container that is read-only.
  const names = Object.keys(Settings.properties)
  const isFileOfSecret = (name: string) => name.endsWith('_FILE') && names.includes(name.slice(0, -5))
  const applying = names.filter(name => name !== 'DATA_DIR' && !(name in otherRedis) && !isFileOfSecret(name))
  const expected = [...new Set([...applying, 'SHUTDOWN_DELAY', 'MIGRATE_ON_START'])]
  t.same(
    Object.keys(services.api.environment).sort(),
    expected.sort(),
    'list a new setting under `api` in docker-compose.yml'
  )
  const fixed = Object.keys(environmentOf(services.api))
  t.same(
    fixed.sort(),
    ['DATABASE_URL', 'HOST', 'ISSUER', 'KEY_ENCRYPTION_SECRET', 'PORT', 'REDIS_URL', 'TRUST_PROXY'],
    'every other setting is taken from the environment of docker compose'
  )
})

t.test('the environment that docker-compose.yml gives the replicas is valid, and names its own servers', async t => {
  const subnet = networks['front']?.ipam.config[0]?.subnet ?? ''
  t.match(loadConfig(environmentOf(services.api)), {
    http: { host: '0.0.0.0', port: 3000, trustProxy: [subnet] },
    tokens: { issuer: 'http://localhost:8080' },
    storage: {
      kind: 'servers',
      databaseUrl: 'postgres://signout:a-password@postgres:5432/signout',
      redis: { kind: 'standalone', url: 'redis://:another@redis:6379' },
      keyEncryptionSecret: secret
    }
  })
  const other = compose({ ...given, ISSUER: 'https://auth.example.com', SUBNET: '10.1.2.0/24' })
  t.match(loadConfig(environmentOf(other.services.api)), {
    tokens: { issuer: 'https://auth.example.com' }, http: { trustProxy: ['10.1.2.0/24'] }
  })
  t.equal(
    other.networks['front']?.ipam.config[0]?.subnet, '10.1.2.0/24', 'the network moves with the range that is believed'
  )
})

t.test('a missing secret is an error that says how to set it', async t => {
  for (const name of Object.keys(given)) {
    const { [name as keyof typeof given]: _, ...others } = given
    t.throws(() => compose(others), { message: new RegExp(`^${name}: Set it .* openssl rand`) })
    t.notMatch(text, new RegExp(`\\$\\{${name}:?[-+=]`), `${name} has no default`)
  }
})

t.test('three replicas run behind one balancer on port 8080, and have time to finish their requests', async t => {
  t.equal(services.api.deploy.replicas, 3)
  t.notOk(services.api.ports, 'replicas are reached through the balancer alone')
  t.same(services.balancer.ports, ['127.0.0.1:8080:8080'])
  t.same(services.api.depends_on, {
    postgres: { condition: 'service_healthy' }, redis: { condition: 'service_healthy' }
  })
  t.same(services.balancer.depends_on, { api: { condition: 'service_healthy' } })
  t.same(services.api.networks, ['default', 'front'])
  t.same(services.balancer.networks, ['front'], 'the balancer cannot reach the data')
  const graceMs = Number(/graceMs = ([\d_]+)/.exec(read('src/process/serve.ts'))?.[1]?.replaceAll('_', ''))
  const delayMs = Number(/ SHUTDOWN_DELAY=(\d+)/.exec(read('Dockerfile'))?.[1]) * 1_000
  t.ok(delayMs > 0)
  const stopMs = Number.parseInt(services.api.stop_grace_period) * 1_000
  t.ok(stopMs > delayMs + graceMs, 'longer than the delay of the image and the grace of the server')
  for (const [name, { restart }] of Object.entries(services)) t.equal(restart, 'unless-stopped', name)
})

t.test('the balancer has the configuration that test/deploy runs, and its defaults fit the other services', async t => {
  t.same(configs.haproxy, { file: 'deploy/haproxy/haproxy.cfg' })
  const content = read(configs.haproxy.file)
  t.match(content, `"\${SIGNOUT_REPLICAS-api:${environmentOf(services.api)['PORT']}}"`)
  t.match(content, /SIGNOUT_NAME_SERVER-127\.0\.0\.11:53\}"/, 'the name server of Docker')
  t.match(services.balancer.ports[0], new RegExp(`${/SIGNOUT_BIND-(:\d+)}/.exec(content)?.[1]}$`))
  const [interval, fast, falls] = [/check inter (\d+)s/, /fastinter (\d+)ms/, /fall (\d+)/].map(pattern =>
    Number(pattern.exec(content)?.[1]))
  const delay = Number(/ SHUTDOWN_DELAY=(\d+)/.exec(read('Dockerfile'))?.[1])
  const noticed = Number(interval) + (Number(falls) - 1) * Number(fast) / 1_000
  t.ok(noticed < delay, `a replica that drains is left out after ${noticed} s, before it closes after ${delay} s`)
})

t.test('no container can write to its image, has a capability, runs without limits, or as root', async t => {
  for (const [name, service] of Object.entries(services)) {
    t.match(service, {
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      deploy: { resources: { limits: { cpus: /^\d$/, memory: /^\d+[mg]$/, pids: Number } } }
    }, name)
  }
  // The images of the API and of HAProxy name a user themselves.
  t.match([services.postgres.user, services.redis.user], ['postgres', 'redis'])
  t.same(services.api.tmpfs?.map(mount => mount.split(':')[0]), [/^VOLUME (.*)$/m.exec(read('Dockerfile'))?.[1]])
})

t.test('docker-compose.yml is valid by the schema of Compose', async t => {
  const off = ['service-keys-order', 'services-alphabetical-order', 'service-dependencies-alphabetical-order',
    'require-quotes-in-ports', 'top-level-properties-order', 'no-build-and-image', 'service-ports-alphabetical-order']
  const rules = Object.fromEntries(off.map(name => [name, 0 as const]))
  const linter = new DCLinter({ rules, quiet: false, debug: false, exclude: [] })
  const results: Array<{ messages: unknown[] }> = linter.lintFiles([join(packageRoot, 'docker-compose.yml')], false)
  t.same(results.map(({ messages }) => messages), [[]])
})

t.test('Redis never evicts keys, requires the password, and keeps its data, as Postgres does', async t => {
  const port = await findFreePort()
  const [shell = '', option = '', script = ''] = services.redis.command ?? []
  const command = script.replaceAll('$$', '$').replace('redis-server -', `redis-server - --port ${port}`)
  const server = spawn(shell, [option, command], {
    cwd: scratchFolder(t), env: { PATH: process.env['PATH'], ...environmentOf(services.redis) }, stdio: 'ignore'
  })
  const ended = once(server, 'close')
  t.teardown(async () => {
    server.kill('SIGTERM')
    await ended
  })
  const redis = new Redis(`redis://:another@127.0.0.1:${port}`, { retryStrategy: () => 50 })
  redis.on('error', () => { /* It is not there yet. */ })
  t.teardown(() => { redis.disconnect() })
  await until('Redis answers', async () => await redis.ping().catch(() => '') === 'PONG')
  t.same(await redis.config('GET', 'maxmemory-policy'), ['maxmemory-policy', 'noeviction'])
  t.same(await redis.config('GET', 'appendonly'), ['appendonly', 'yes'])
  const stranger = new Redis(`redis://127.0.0.1:${port}`, { retryStrategy: null })
  stranger.on('error', () => { /* Its commands fail with it. */ })
  await t.rejects(stranger.ping(), { message: /^NOAUTH/ })
  stranger.disconnect()
  t.match(services.redis.environment, { REDISCLI_AUTH: 'another' }, 'the health check signs in')
  t.same(services.redis.volumes, ['redis:/data'])
  t.same(services.postgres.volumes, ['postgres:/var/lib/postgresql/data'])
})

t.test('REDIS_PORT and POSTGRES_PORT choose the loopback ports of Redis and Postgres', async t => {
  const { services } = compose({ ...given, REDIS_PORT: '1111', POSTGRES_PORT: '2222' })
  t.same(services.redis.ports, ['127.0.0.1:1111:6379'])
  t.same(services.postgres.ports, ['127.0.0.1:2222:5432'])
  t.match(services.postgres.environment, {
    POSTGRES_USER: 'signout', POSTGRES_DB: 'signout', POSTGRES_PASSWORD: 'a-password'
  })
  for (const { networks } of [services.redis, services.postgres]) {
    t.notOk(networks, 'nothing there is fixed, so two projects can run at once')
  }
})

t.test('every service has a health check, and every image has a version', async t => {
  const { api, ...others } = services
  t.notOk(api.healthcheck, 'it would replace the check of the image')
  t.match(read('Dockerfile'), /^HEALTHCHECK .* \\\n {2}CMD \[/m)
  for (const [name, { healthcheck, image }] of Object.entries(others)) {
    t.match(healthcheck?.test, [/^CMD(-SHELL)?$/, /^\w/], name)
    t.match(image, /^[a-z]+:\d+(\.\d+)?-alpine$/)
  }
})

/** The file as Docker Compose reads it: `${NAME:-otherwise}`, `${NAME:?sentence}` and `${NAME}`. */
function compose (env: Record<string, string>): Compose {
  const variable = /(?<!\$)\$\{(\w+)(?::([-?])([^}]*))?\}/g
  const filledIn = text.replaceAll(variable, (_, name: string, kind: string | undefined, rest = '') => {
    const value = env[name] || (kind === '-' ? rest : undefined)
    if (value === undefined) throw new Error(`${name}: ${rest}`)
    return value
  })
  return parse(filledIn, { merge: true }) as Compose
}

/** A variable without a value is taken from the environment of `docker compose`, and left out when it is not there. */
function environmentOf ({ environment }: Service): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => value === null ? [] : [[name, String(value)]])
  )
}
