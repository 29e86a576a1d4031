import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import t from 'tap'
import { loadConfig, Settings } from '../src/config.ts'
import { describeUrl } from '../src/describe-url.ts'
import { packageRoot } from '../src/package-root.ts'
import { secret } from './support/app.ts'

const servers = {
  DATABASE_URL: 'postgres://me:hush@db.example:5432/app',
  REDIS_URL: 'redis://:hush@redis.example:6379/0',
  ISSUER: 'https://auth.example.com',
  KEY_ENCRYPTION_SECRET: secret
}

t.test('nothing set is the embedded mode with its defaults', async t => {
  t.same(loadConfig({}), {
    HOST: '127.0.0.1',
    PORT: 3000,
    LOG_LEVEL: 'info',
    DATA_DIR: '.signout',
    ISSUER: 'http://127.0.0.1:3000',
    AUDIENCE: 'http://127.0.0.1:3000',
    ACCESS_TOKEN_TTL: 900,
    CLOCK_LEEWAY: 5,
    BLOCKLIST_DEADLINE_MS: 250,
    BLOCKLIST_PREFIX: 'signout:',
    PASSWORD_MIN_LENGTH: 15,
    DATABASE_DEADLINE_MS: 2000,
    storage: { kind: 'embedded' }
  })
})

t.test('an empty variable counts as unset', async t => {
  t.same(loadConfig({ PORT: '', REDIS_URL: '', DATABASE_URL: '', TRUST_PROXY: '' }), loadConfig({}))
})

t.test('every variable is read', async t => {
  const values = {
    ...servers,
    HOST: '::1',
    PORT: '8080',
    LOG_LEVEL: 'warn',
    DATA_DIR: '/var/lib/signout',
    AUDIENCE: 'the-api',
    ACCESS_TOKEN_TTL: '60',
    CLOCK_LEEWAY: '0',
    BLOCKLIST_DEADLINE_MS: '100',
    BLOCKLIST_PREFIX: 'mine:',
    PASSWORD_MIN_LENGTH: '8',
    TRUST_PROXY: '10.0.0.0/8, ::1,192.168.1.1',
    DATABASE_DEADLINE_MS: '500'
  }
  t.same(Object.keys(values).sort(), Object.keys(Settings.properties).sort(), 'and this test knows all of them')
  t.match(loadConfig(values), {
    ...values,
    PORT: 8080,
    ACCESS_TOKEN_TTL: 60,
    CLOCK_LEEWAY: 0,
    BLOCKLIST_DEADLINE_MS: 100,
    PASSWORD_MIN_LENGTH: 8,
    DATABASE_DEADLINE_MS: 500,
    TRUST_PROXY: ['10.0.0.0/8', '::1', '192.168.1.1'],
    storage: { kind: 'servers', databaseUrl: servers.DATABASE_URL, redisUrl: servers.REDIS_URL, keyEncryptionSecret: secret }
  })
})

t.test('a wrong value is one line that names the variable, what it is, and what it must be', async t => {
  const wrong: Record<string, string[]> = {
    HOST: ['a host', 'a/b'],
    PORT: ['abc', '-1', '65536', '80.5', '0x50', '1e3', ' '],
    LOG_LEVEL: ['loud', 'INFO'],
    DATABASE_URL: ['db.example', 'mysql://db.example/app', 'postgres//db'],
    REDIS_URL: ['redis.example:6379', 'http://redis.example', 'redis:hush', 'redis://:p%ss@redis.example'],
    ISSUER: ['auth.example.com', 'ftp://auth.example.com', 'https://auth.example.com/?a=b', 'https://auth.example.com/#a'],
    AUDIENCE: ['x'.repeat(256)],
    ACCESS_TOKEN_TTL: ['0', '-5', '15m', '2592001'],
    CLOCK_LEEWAY: ['-1', '301', 'five'],
    KEY_ENCRYPTION_SECRET: ['short', 'x'.repeat(31)],
    BLOCKLIST_DEADLINE_MS: ['9', '10001', '250ms'],
    BLOCKLIST_PREFIX: ['with space', '{tag}', 'x'.repeat(65), 'a*'],
    PASSWORD_MIN_LENGTH: ['7', '129'],
    TRUST_PROXY: ['true', '1', 'proxy.example', '10.0.0.0/33', '::/129', '10.0.0.0/8/8', '10.0.0.1,', '0.0.0.0/0', '::/0'],
    DATABASE_DEADLINE_MS: ['99', '60001']
  }
  t.same(Object.keys(wrong).sort(), Object.keys(Settings.properties).filter(name => name !== 'DATA_DIR').sort(), 'every variable that can be wrong')
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const message = refusalOf({ ...servers, [name]: value })
      t.ok(message.startsWith(`${name} is `) && message.includes('; it must be ') && message.endsWith('.'), message)
      t.notMatch(message, '\n')
      if (/URL|SECRET/.test(name)) t.notOk(message.includes(value), 'what may hold a password is not repeated')
      else t.match(message, JSON.stringify(value))
    }
  }
})

t.test('half of the servers, or replicas that cannot agree, are refused with the reason', async t => {
  const without = (...names: string[]) => Object.fromEntries(Object.entries(servers).filter(([name]) => !names.includes(name)))
  t.match(refusalOf(without('REDIS_URL')), /^REDIS_URL is not set but DATABASE_URL is: .* would not see each other's logouts\.$/)
  t.match(refusalOf(without('DATABASE_URL')), /^DATABASE_URL is not set but REDIS_URL is: /)
  t.match(refusalOf(without('ISSUER')), /^ISSUER is not set; with DATABASE_URL it must be/)
  t.match(refusalOf(without('KEY_ENCRYPTION_SECRET')), /^KEY_ENCRYPTION_SECRET is not set; with DATABASE_URL it must be/)
  t.match(refusalOf({ PORT: '0' }), /^ISSUER is not set; it must be when PORT is 0/)
})

t.test('the issuer of the embedded mode is the address that people use', async t => {
  t.equal(loadConfig({ HOST: '0.0.0.0', PORT: '80' }).ISSUER, 'http://localhost:80')
  t.equal(loadConfig({ HOST: '::', PORT: '80' }).ISSUER, 'http://localhost:80')
  t.equal(loadConfig({ HOST: '::1', PORT: '80' }).ISSUER, 'http://[::1]:80')
  t.equal(loadConfig({ AUDIENCE: 'x' }).AUDIENCE, 'x')
})

t.test('.env.example lists every variable, with the defaults of those that have one', async t => {
  const lines = readFileSync(join(packageRoot, '.env.example'), 'utf8')
  const listed = parseEnv(lines.replace(/^#([A-Z_]+=)/gm, '$1'))
  t.same(Object.keys(listed).filter(name => name in Settings.properties).sort(), Object.keys(Settings.properties).sort())
  for (const [name, schema] of Object.entries(Settings.properties)) {
    if ('default' in schema) t.equal(listed[name], String(schema.default), name)
  }
})

t.test('an address is shown without anything secret', async t => {
  t.equal(describeUrl('postgres://me:hush@db.example:5432/app?sslpassword=hush'), 'postgres://db.example:5432/app')
  t.equal(describeUrl('redis://:hush@redis.example'), 'redis://redis.example')
})

function refusalOf (env: Record<string, string>): string {
  try {
    loadConfig(env)
  } catch (error) {
    return (error as Error).message
  }
  return 'it was accepted'
}
