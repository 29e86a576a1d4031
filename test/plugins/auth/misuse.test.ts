import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import {
  createMemoryBlocklist,
  createRedisBlocklist,
  createRedisConnection,
  SignoutError,
  type Blocklist
} from '../../../plugins/auth/auth.ts'
import { buildApp } from '../../../src/app.ts'
import { loadConfig } from '../../../src/config.ts'
import { createShardedBlocklist } from '../../../src/revocation/sharded-blocklist.ts'
import type { RedisBlocklist } from '../../../src/revocation/redis-blocklist.ts'
import { redisUrl, scratchPrefix } from '../../support/services.ts'
import { nowSeconds } from '../../support/tokens.ts'
import { bareApp } from './bare-app.ts'

type Wrong = Record<string, [value: unknown, message: RegExp]>

const good = { scope: 'token', id: 'a', expiresAt: nowSeconds() + 60 }
/** Invalid lists of revocations, each with the error message. */
const wrongRevocations: Wrong = {
  'no list': [undefined, /takes a list of revocations.* undefined/],
  'an object instead of a list': [good, /takes a list of revocations.* an object/],
  'an id instead of a list': ['a', /takes a list of revocations.* "a"/],
  'a set instead of a list': [new Set([good]), /takes a list of revocations.* an object/],
  'null in the list': [[null], /revocations\[0\] is null/],
  'a text in the list': [['a'], /revocations\[0\] is "a"/],
  'no scope': [
    [{ ...good, scope: undefined }],
    /revocations\[0\]\.scope is undefined; it must be 'token' or 'session'/
  ],
  'an unknown scope': [[{ ...good, scope: 'user' }], /revocations\[0\]\.scope is "user"/],
  'the scope of an inherited name': [[{ ...good, scope: 'constructor' }], /revocations\[0\]\.scope is "constructor"/],
  'an empty id': [
    [good, { ...good, id: '' }],
    /revocations\[1\]\.id is ""; it must be the jti of a token or the sid of a session/
  ],
  'no id': [[{ scope: 'token', jti: 'a', expiresAt: good.expiresAt }], /revocations\[0\]\.id is undefined/],
  'a numeric id': [[{ ...good, id: 1 }], /revocations\[0\]\.id is 1/],
  'an id that no token has': [[{ ...good, id: 'x'.repeat(256) }], /revocations\[0\]\.id .*255 characters/],
  'no expiresAt': [
    [{ scope: 'token', id: 'a' }],
    /revocations\[0\]\.expiresAt is undefined; it must be the exp of the token, in seconds/
  ],
  'expiresAt in milliseconds': [
    [{ ...good, expiresAt: Date.now() }],
    /revocations\[0\]\.expiresAt is \d{13}.* in seconds.*milliseconds/
  ],
  'expiresAt as text': [[{ ...good, expiresAt: String(good.expiresAt) }], /revocations\[0\]\.expiresAt is "\d+"/],
  'expiresAt as a date': [[{ ...good, expiresAt: new Date() }], /revocations\[0\]\.expiresAt is an object/],
  'expiresAt as a bigint': [[{ ...good, expiresAt: 10n }], /revocations\[0\]\.expiresAt is 10n/],
  'expiresAt that is no number': [[{ ...good, expiresAt: NaN }], /revocations\[0\]\.expiresAt is NaN/],
  'expiresAt without an end': [[{ ...good, expiresAt: Infinity }], /revocations\[0\]\.expiresAt is Infinity/],
  'a numeric subject': [[{ ...good, subject: 7 }], /revocations\[0\]\.subject is 7/],
  'an empty subject': [[{ ...good, subject: '' }], /revocations\[0\]\.subject is ""/]
}

/** Claims that every blocklist refuses, each with the error message. */
const wrongClaims: Wrong = {
  'an id instead of claims': ['a', /jti/],
  'no jti': [{}, /jti.* undefined/],
  'an empty jti': [{ jti: '' }, /jti.* ""/],
  'a numeric jti': [{ jti: 1 }, /jti.* 1/],
  'a numeric sid': [{ jti: 'a', sid: 1 }, /sid.* 1/]
}

async function redisBlocklist (t: Test): Promise<RedisBlocklist> {
  const redis = createRedisConnection(redisUrl())
  await redis.connect()
  const blocklist = createRedisBlocklist({ redis, prefix: scratchPrefix(t), deadlineMs: 5_000 })
  t.teardown(() => blocklist.close())
  return blocklist
}

const appWith = async (t: Test, blocklist: Blocklist, options: object = {}) =>
  (await bareApp(t, { blocklist, options })).app

t.test('an invalid revocation is a TypeError that names the mistake, and no entry of its list is written', async t => {
  const inRedis = await redisBlocklist(t)
  const parts = [createMemoryBlocklist(), createMemoryBlocklist()] as unknown as RedisBlocklist[]
  const blocklists: Record<string, Blocklist> = {
    memory: createMemoryBlocklist(),
    Redis: inRedis,
    parts: createShardedBlocklist(parts, subject => subject.length % 2)
  }
  for (const [where, blocklist] of Object.entries(blocklists)) {
    const app = await appWith(t, blocklist)
    for (const [name, [list, message]] of Object.entries(wrongRevocations)) {
      await t.rejects(app.revoker.revoke(list as []), { name: 'TypeError', message }, `app.revoker, ${where}: ${name}`)
      await t.rejects(blocklist.revoke(list as []), { name: 'TypeError', message }, `${where}: ${name}`)
    }
    await blocklist.revoke([])
    await t.rejects(app.revoker.revoke([]), { name: 'TypeError', message: /empty list/ })
    t.equal(
      await blocklist.isRevoked({ jti: 'a', iat: nowSeconds() + 60 }),
      false,
      `${where}: the good one beside a wrong one is not written`
    )
  }
})

t.test('app.revoker checks revocations for a custom blocklist of the app too', async t => {
  const given: unknown[] = []
  const app = await appWith(t, { ...createMemoryBlocklist(), revoke: async revocations => { given.push(revocations) } })
  for (const [name, [list, message]] of Object.entries(wrongRevocations)) {
    await t.rejects(app.revoker.revoke(list as []), { name: 'TypeError', message }, name)
  }
  t.same(given, [])
})

t.test('a look-up that could find nothing is a TypeError, and not "not revoked"', async t => {
  const blocklists = { memory: createMemoryBlocklist(), Redis: await redisBlocklist(t) }
  for (const [where, blocklist] of Object.entries(blocklists)) {
    for (const [name, [claims, message]] of Object.entries(wrongClaims)) {
      await t.rejects(
        async () => await blocklist.isRevoked(claims as { jti: string }),
        { name: 'TypeError', message },
        `${where}: ${name}`
      )
    }
  }
})

t.test('a wrong option of a blocklist is a TypeError that names the option', async t => {
  const redis = new Redis({ lazyConnect: true })
  const wrong: Wrong = {
    'no number of seconds': [
      { leewaySeconds: '5' },
      /leewaySeconds is "5"; it must be a number of seconds from 0 to 300/
    ],
    milliseconds: [{ leewaySeconds: 5_000 }, /leewaySeconds is 5000/],
    'a negative leeway': [{ leewaySeconds: -1 }, /leewaySeconds is -1/],
    'a leeway that is no number': [{ leewaySeconds: NaN }, /leewaySeconds is NaN/],
    'no leeway, said so': [{ leewaySeconds: null }, /leewaySeconds is null/],
    'a deadline without an end': [
      { deadlineMs: Infinity },
      /deadlineMs is Infinity; it must be a number of milliseconds from 1 to 60000/
    ],
    'no deadline': [{ deadlineMs: 0 }, /deadlineMs is 0/],
    'a deadline as text': [{ deadlineMs: '250' }, /deadlineMs is "250"/]
  }
  for (const [name, [options, message]] of Object.entries(wrong)) {
    t.throws(() => createMemoryBlocklist(options as object), { name: 'TypeError', message }, name)
    t.throws(
      () => createRedisBlocklist({ redis, prefix: 'p:', ...(options as object) }),
      { name: 'TypeError', message },
      name
    )
  }
  t.throws(() => createMemoryBlocklist({ now: 5 } as never), {
    name: 'TypeError',
    message: /now is 5; it must be a function/
  })
  t.throws(() => createMemoryBlocklist(5 as never), { name: 'TypeError', message: /takes its options as an object/ })
  t.throws(() => createRedisBlocklist(undefined as never), {
    name: 'TypeError',
    message: /takes its options as an object/
  })
})

t.test('a wrong option of createRedisBlocklist is a TypeError that names the option', async t => {
  const redis = new Redis({ lazyConnect: true })
  for (const [name, [options, message]] of Object.entries({
    'no connection': [
      { redis: undefined },
      /redis is undefined; it must be a connection made by createRedisConnection/
    ],
    'an address': [{ redis: 'redis://127.0.0.1:6379' }, /redis is "redis:[^"]*"; it must be a connection/],
    'no prefix': [{ prefix: undefined }, /prefix is undefined; it must be a text/],
    'a callback that is none': [{ onCutOff: 'log' }, /onCutOff is "log"; it must be a function/]
  } satisfies Wrong)) {
    t.throws(
      () => createRedisBlocklist({ redis, prefix: 'p:', ...(options as object) }),
      { name: 'TypeError', message },
      name
    )
  }
})

t.test('a wrong argument of createRedisConnection is a TypeError that names the argument', async t => {
  for (const [server, options, message] of [
    [undefined, {}, /server is undefined; it must be an address such as redis:/],
    ['', {}, /server is ""/],
    [6379, {}, /server is 6379/],
    [redisUrl(), 5, /options is 5; it must be an object/],
    [redisUrl(), { deadlineMs: 250 }, /deadlineMs is given to the blocklist/],
    [redisUrl(), { silenceMs: 'long' }, /silenceMs is "long"; it must be a number of milliseconds/],
    [redisUrl(), { onLost: 'log' }, /onLost is "log"; it must be a function/],
    [redisUrl(), { onRestored: 1 }, /onRestored is 1; it must be a function/]
  ] as const) t.throws(() => createRedisConnection(server as string, options as object), { name: 'TypeError', message })
})

t.test('a wrong option of the plugin is a TypeError that names the option', async t => {
  const blocklist = createMemoryBlocklist()
  t.match(blocklist, { leewaySeconds: 5, deadlineMs: 250 }, 'the defaults')
  const [withoutRevoke, withoutLookUp, withoutLeeway] = ['revoke', 'isRevoked', 'leewaySeconds'].map(name => ({
    ...blocklist,
    [name]: undefined
  }))
  for (const [options, message] of [
    [{ jwt: undefined }, /option jwt is undefined; it must be the settings of @fastify\/jwt/],
    [{ jwt: {} }, /option jwt\.secret is undefined/],
    [
      { blocklist: undefined },
      /option blocklist is undefined; it must be a blocklist, such as createMemoryBlocklist\(\)/
    ],
    [{ blocklist: createMemoryBlocklist }, /option blocklist is a function/],
    [{ blocklist: withoutRevoke }, /option blocklist has no method revoke/],
    [{ blocklist: withoutLookUp }, /option blocklist has no method isRevoked/],
    [{ blocklist: withoutLeeway }, /blocklist\.leewaySeconds is undefined; it must be a number of seconds/],
    [{ blocklist: { ...blocklist, leewaySeconds: -5 } }, /blocklist\.leewaySeconds is -5/],
    [{ blocklist: { ...blocklist, deadlineMs: NaN } }, /blocklist\.deadlineMs is NaN/],
    [{ deadlineMs: 250 }, /option deadlineMs is given to the blocklist/],
    [{ claims: 'user' }, /option claims is "user"; it must be a schema/],
    [{ claims: { tenant: { type: 'string' } } }, /option claims is not a JSON Schema .*unknown keyword: "tenant"/],
    [{ realm: 5 }, /option realm is 5/],
    [{ realm: 'a\r\nb' }, /option realm .* without control characters/],
    [{ onChecked: 'count' }, /option onChecked is "count"; it must be a function/]
  ] as const) await t.rejects(appWith(t, blocklist, options), { name: 'TypeError', message })
})

t.test('a token that is no string is a TypeError, and a missing token is authorization_required', async t => {
  const app = await appWith(t, createMemoryBlocklist())
  for (const check of [app.verifyToken, app.verifySignature]) {
    for (const token of [1, {}, ['a.b.c'], Buffer.from('a.b.c'), true]) {
      await t.rejects(check(token as string), { name: 'TypeError', message: /takes the text of a token/ })
    }
    for (const token of [undefined, null, '']) {
      await t.rejects(check(token as string), { code: 'authorization_required' })
    }
  }
})

t.test('an unknown error code, a missing configuration and invalid settings are TypeErrors', async t => {
  t.throws(() => new SignoutError('no_such_code' as never), {
    name: 'TypeError',
    message: /no error code "no_such_code"/
  })
  t.throws(() => new SignoutError('toString' as never), { name: 'TypeError' })
  for (const config of [undefined, {}, 'PORT=1']) {
    t.throws(() => buildApp(config as never), { name: 'TypeError', message: /buildApp takes what loadConfig returns/ })
  }
  for (const env of [undefined, 'PORT=1']) {
    t.throws(() => loadConfig(env as never), { name: 'TypeError', message: /loadConfig takes environment variables/ })
  }
})
