import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { loadConfig } from '../src/config.ts'
import { Settings } from '../src/settings/settings.ts'
import { packageRoot } from '../src/package-root.ts'
import { secret } from './support/app.ts'

interface Service {
  image?: string
  command?: string[]
  environment: Record<string, string | number | null>
  ports: string[]
  networks?: string[]
  volumes?: string[]
  depends_on: Record<string, { condition: string }>
  healthcheck?: { test: string[] }
  restart?: string
  deploy: { replicas: number }
  stop_grace_period: string
}

interface Compose {
  services: Record<'api' | 'balancer' | 'postgres' | 'redis', Service>
  networks: Record<string, { ipam: { config: Array<{ subnet: string }> } }>
  configs: { haproxy: { content: string } }
}

const read = (path: string) => readFileSync(join(packageRoot, path), 'utf8')
const text = read('docker-compose.yml')
const given = { POSTGRES_PASSWORD: 'a-password', KEY_ENCRYPTION_SECRET: secret }
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
  const expected = Object.keys(Settings.properties).filter(name => name !== 'DATA_DIR' && !(name in otherRedis))
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
      redis: { kind: 'standalone', url: 'redis://redis:6379' },
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
  t.throws(() => compose({ KEY_ENCRYPTION_SECRET: secret }), { message: /^POSTGRES_PASSWORD: Set it .* openssl rand/ })
  t.throws(() => compose({ POSTGRES_PASSWORD: 'a-password' }), {
    message: /^KEY_ENCRYPTION_SECRET: Set it .* openssl rand/
  })
  for (const name of Object.keys(given)) t.notMatch(text, new RegExp(`\\$\\{${name}:?[-+=]`), `${name} has no default`)
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
  const graceMs = Number(/graceMs = ([\d_]+)/.exec(read('src/server.ts'))?.[1]?.replaceAll('_', ''))
  t.ok(Number.parseInt(services.api.stop_grace_period) * 1_000 > graceMs, 'longer than the grace of the server')
  for (const [name, { restart }] of Object.entries(services)) t.equal(restart, 'unless-stopped', name)
})

t.test('the balancer sets X-Forwarded-For itself, and drops the X-Forwarded headers of the client', async t => {
  const { content } = configs.haproxy
  t.match(content, /^ {2}http-request del-header X-Forwarded- -m beg$/m)
  t.match(content, /^ {2}option forwardfor$/m)
  t.match(content, /http-check send meth GET uri \/health\/ready/)
  t.match(content, `server-template replica 10 api:${environmentOf(services.api)['PORT']}`)
  t.notMatch(content, '$', 'compose would take it for a variable')
  t.ok(content.endsWith('\n'), 'HAProxy refuses a file without a last line break')
})

t.test('Redis never evicts keys, and Redis and Postgres both keep their data', async t => {
  const command = services.redis.command?.join(' ')
  t.match(command, '--maxmemory-policy noeviction')
  t.match(command, '--appendonly yes')
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
  t.match(read('Dockerfile'), /^FROM node:\d+-/m)
  for (const [name, { healthcheck, image }] of Object.entries(others)) {
    t.match(healthcheck?.test, [/^CMD(-SHELL)?$/, /^\w/], name)
    t.match(image, /^[a-z]+:\d+(\.\d+)?-alpine$/)
  }
})

t.test('the image runs the server without root, and has a health check', async t => {
  const lines = read('Dockerfile').replaceAll(/\\\n\s*/g, '').split('\n')
  const last = lines.slice(lines.findLastIndex(line => line.startsWith('FROM ')))
  const argument = (name: string) => last.find(line => line.startsWith(`${name} `))?.slice(name.length + 1) ?? ''
  t.match(argument('USER'), /^[1-9]\d*:[1-9]\d*$/)
  t.match(JSON.parse(/CMD (.*)/.exec(argument('HEALTHCHECK'))?.[1] ?? ''), ['node', '-e', '/health/live'])
  t.same(JSON.parse(argument('CMD')), ['node', 'dist/src/server.js'])
  t.equal(argument('EXPOSE'), String(environmentOf(services.api)['PORT']))
  const env = Object.fromEntries(argument('ENV').split(' ').map(pair => pair.split('=')))
  t.match(env, { NODE_ENV: 'production', HOST: '0.0.0.0', DATA_DIR: argument('VOLUME') })
  t.equal(loadConfig(env).storage.kind, 'embedded')
})

t.test('every file that the Dockerfile copies is in the build context, and no other file is', async t => {
  const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = '']) =>
    sources.split(' ')
  )
  t.ok(copied.includes('src/db/migrations'), 'the compiler leaves them where they are')
  for (const path of copied) {
    t.ok(existsSync(join(packageRoot, path)), `${path} is there`)
    t.ok(isAdmitted(path), `${path} is admitted`)
  }
  const imports = [...read('scripts/build.js').matchAll(/ from '\.\/([^']+)'/g)].map(([, name]) => `scripts/${name}`)
  t.ok(imports.length > 0)
  t.same(imports.filter(path => !copied.includes(path)), [], 'the build finds the scripts that it imports')
  const within = (path: string) => copied.some(source => source === path || source.startsWith(`${path}/`))
  const secretOrBuilt = ['node_modules', 'dist', '.git', '.env', '.signout', '.services']
  const scripts = readdirSync(join(packageRoot, 'scripts')).map(name => `scripts/${name}`)
  for (const path of [...secretOrBuilt, ...readdirSync(packageRoot), ...scripts]) {
    if (!within(path)) t.notOk(isAdmitted(path), `${path} stays out`)
  }
})

/** The file as Docker Compose reads it: `${NAME:-otherwise}`, `${NAME:?sentence}` and `${NAME}`. */
function compose (env: Record<string, string>): Compose {
  return parse(
    text.replaceAll(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string, kind: string | undefined, rest = '') => {
      const value = env[name] || (kind === '-' ? rest : undefined)
      if (value === undefined) throw new Error(`${name}: ${rest}`)
      return value
    })
  ) as Compose
}

/** A variable without a value is taken from the environment of `docker compose`, and left out when it is not there. */
function environmentOf ({ environment }: Service): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => value === null ? [] : [[name, String(value)]])
  )
}

/** The last line of .dockerignore that names the path, or a folder above it, decides. */
function isAdmitted (path: string): boolean {
  const lines = read('.dockerignore').split('\n').filter(line => line !== '' && !line.startsWith('#'))
  const decides = lines.findLast(line => {
    const pattern = line.replace('!', '').replaceAll('.', '\\.').replaceAll('*', '[^/]*')
    return new RegExp(`^${pattern}(/|$)`).test(path)
  })
  return decides?.startsWith('!') ?? true
}
