import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { decodeJwt } from 'jose'
import t from 'tap'
import { unknownUser } from '../../src/cli/commands/find-user.ts'
import { entryKey } from '../../src/entries/revocation.ts'
import { build, serversEnv } from '../support/app.ts'
import { fail, succeed } from '../support/cli.ts'
import { signIn, signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, logOut, refresh } from '../support/requests.ts'
import { redisUrl } from '../support/services.ts'

t.test('revoke prints one line for an unknown user, an unknown session and an invalid token', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { token } = await signUp(app)
  const id = randomUUID()
  const isRefused = async (line: string, ...args: string[]) => {
    t.equal(await fail(t, 1, ['revoke', ...args], { env }), line)
  }
  await Promise.all([
    isRefused('There is no user named nobody.', '--user', 'nobody'),
    isRefused(`There is no user named ${id}.`, '--user', id),
    isRefused(`There is no user named ${id}.`, '--user', id, '--dry-run'),
    isRefused(`There is no session ${id}.`, '--session', id),
    isRefused(`There is no session ${id}.`, '--session', id, '--dry-run'),
    ...[token.slice(0, -8), token.slice(0, token.lastIndexOf('.')), `Bearer ${token}`].map(broken =>
      isRefused('The token is not an access token of this service.', '--token', broken)
    )
  ])
  t.equal((await get(app, '/me', token)).statusCode, 200)
  t.equal(
    unknownUser(token), 'There is no user with that name or id.', 'a token that was pasted as a name is not repeated'
  )
})

t.test('a jti is revoked until --expires-at, if that is longer than the lifetime of tokens', async t => {
  const env = await serversEnv(t)
  const redis = new Redis(redisUrl())
  t.teardown(() => { redis.disconnect() })
  const now = Math.ceil(Date.now() / 1000)
  const far = now + 100_000
  await Promise.all(
    (
      [
        [String(far), far], [new Date(far * 1000).toISOString(), far], ['1', now + 900]
      ] as const
    ).map(async ([expiry, atLeast]) => {
      const jti = randomUUID()
      t.equal(
        await succeed(t, ['revoke', '--token', jti, '--expires-at', expiry], { env }),
        `Revoked the token ${jti}. Its session goes on.\n`
      )
      const [key = ''] = await redis.keys(`${env['BLOCKLIST_PREFIX']}${entryKey('token', jti)}`)
      const endsAt = await redis.pexpiretime(key) / 1000
      t.ok(endsAt >= atLeast && endsAt < atLeast + 100, `${expiry}: until ${endsAt}`)
    })
  )
})

t.test('a token is revoked until --expires-at, and never for less than its own lifetime', async t => {
  const env = await serversEnv(t)
  const redis = new Redis(redisUrl())
  t.teardown(() => { redis.disconnect() })
  const app = await build(t, env)
  for (const [later, expected] of [[5_000, 5_000], [-800, 0]] as const) {
    const { jti = '', exp = 0, token } = await signUp(app).then(({ token }) => ({ ...decodeJwt(token), token }))
    t.equal(
      await succeed(t, ['revoke', '--token', token, '--expires-at', String(exp + later)], { env }),
      `Revoked the token ${jti}. Its session goes on.\n`
    )
    t.equal(
      await redis.pexpiretime(`${env['BLOCKLIST_PREFIX']}${entryKey('token', jti)}`), (exp + expected + 15) * 1000
    )
  }
})

t.test('the ended sessions of a deleted user can be revoked again', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { id, username } = await signUp(app)
  const pair = await signIn(app, username)
  await app.userAdministration.delete(id, {})
  t.equal((await refresh(app, pair.refresh_token)).statusCode, 401)
  t.equal(
    await succeed(t, ['revoke', '--user', id], { env }),
    `The user ${id} was deleted, and has no session left to end. What had ended before was revoked again.\n`
  )
  t.equal((await logOut(app, pair.access_token)).statusCode, 401)
})

t.test('a revocation that Redis did not confirm is a failure, and can be repeated (P4)', async t => {
  const redis = await ownRedis(t)
  const env = { ...await serversEnv(t), REDIS_URL: redis.url }
  const app = await build(t, env)
  const { username, token } = await signUp(app)
  const pair = await signIn(app, username)
  const client = new Redis(redis.url)
  t.teardown(() => { client.disconnect() })
  await client.client('PAUSE', 60_000, 'WRITE')
  t.match(
    await fail(t, 3, ['revoke', '--user', username], { env }),
    /^The revocation is recorded, .* repeat the command\. REDIS_URL: the Redis at .* cannot be checked \(.+\)\. /
  )
  await client.client('UNPAUSE')
  t.equal((await refresh(app, pair.refresh_token)).statusCode, 401, 'the record stands')
  t.match(await succeed(t, ['revoke', '--user', username], { env }), 'What had ended before was revoked again.')
  for (const ended of [token, pair.access_token]) t.equal((await get(app, '/me', ended)).statusCode, 401)
})
