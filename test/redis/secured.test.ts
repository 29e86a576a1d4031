import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { packageRoot } from '../../src/package-root.ts'
import { loadConfig } from '../../src/config.ts'
import { buildUnready, promptServersEnv, type Env } from '../support/app.ts'
import { asProcess } from '../support/cli.ts'
import { keepLog } from '../support/log.ts'
import { signIn, signUp } from '../support/people.ts'
import { startCluster } from '../support/redis-cluster.ts'
import { startNode, startSentinelGroup } from '../support/redis-group.ts'
import { redisServer } from '../support/redis-process.ts'
import { get, logOut, outcome } from '../support/requests.ts'
import { makeTls } from '../support/tls.ts'

const { signout } = asProcess

const password = 'the-password-of-the-service'
const adminPassword = 'the-password-of-the-test'
const admin = { username: 'root', password: adminPassword }

/** The rules that docs/redis.md gives a user, word for word. */
const documented = readFileSync(join(packageRoot, 'docs', 'redis.md'), 'utf8')
function rulesOf (user: string): string {
  const [, rules] = new RegExp(`^ACL SETUSER ${user} on >PASSWORD (.*)$`, 'm').exec(documented) ?? []
  if (rules === undefined) throw new Error(`docs/redis.md has no rules for ${user}.`)
  return rules
}

const users = (user: string) => [
  'user default off',
  `user root on >${adminPassword} ~* &* +@all`,
  `user ${user} on >${password} ${rulesOf(user)}`
]
/** Servers follow each other as root. */
const following = ['masteruser root', `masterauth ${adminPassword}`]

/** Expects that login and logout work, that limits count in Redis, and that the log has no secret. */
async function expectToWork (t: Test, redis: Env): Promise<void> {
  const { REDIS_URL: _, BLOCKLIST_PREFIX: __, ...servers } = await promptServersEnv(t)
  // The documented rules are for the prefix that is the default.
  const env = {
    ...servers,
    ...redis,
    BLOCKLIST_DEADLINE_MS: '5000',
    BLOCKLIST_WAIT_REPLICAS: redis['BLOCKLIST_WAIT_REPLICAS'] ?? '0'
  }
  const { logger, text } = keepLog()
  const app = buildUnready(t, loadConfig(env), logger)
  await app.ready()
  const { username, token } = await signUp(app)
  t.equal(outcome(await get(app, '/token', token)), '200')
  t.equal(outcome(await logOut(app, token)), '200')
  t.equal(outcome(await get(app, '/token', token)), '401 token_revoked')
  t.ok((await signIn(app, username)).access_token)
  t.notMatch(text(), 'refuses to count attempts')
  for (const secret of [password, adminPassword]) t.notMatch(text(), secret)
  for (const command of ['check-config', 'adopt-blocklist']) {
    const { code, stdout, stderr } = await signout(t, [command], { env })
    t.equal(code, 0, `${command}: ${stderr}`)
    for (const secret of [password, adminPassword]) t.notMatch(stdout + stderr, secret)
  }
}

const skip = redisServer === undefined ? 'servers in containers cannot reach each other here' : false

t.test('a Redis server works over TLS, with a user that has the documented rights', { skip }, async t => {
  const tls = makeTls(t)
  const { port } = await startNode(t, {
    lines: port => [...tls.lines(port), ...users('signout')],
    admin: { ...admin, ...tls.client }
  })
  const url = `rediss://signout:${password}@127.0.0.1:${port}`
  await expectToWork(t, { REDIS_URL: url, REDIS_TLS_CA: tls.caFile })

  await t.test('a start over TLS is refused with an unknown CA, a wrong password or an invalid CA file', async t => {
    const { DATABASE_URL, ISSUER, KEY_ENCRYPTION_SECRET } = await promptServersEnv(t) as Record<string, string>
    const refusal = async (redis: Env) => {
      const app = buildUnready(
        t,
        loadConfig({
          DATABASE_URL: String(DATABASE_URL),
          ISSUER: String(ISSUER),
          KEY_ENCRYPTION_SECRET: String(KEY_ENCRYPTION_SECRET),
          ...redis
        })
      )
      const error = await app.ready().then(() => undefined, error => error as Error)
      t.equal(error?.name, 'StartupError')
      t.notMatch(error?.message, password)
      return error?.message
    }
    t.match(
      await refusal({ REDIS_URL: url }),
      /^REDIS_URL: cannot connect to rediss:\/\/127\.0\.0\.1:\d+ \(.*(certificate|self-signed).*\)\. .* set REDIS_TLS_CA to .* its authority\.$/,
      'an authority that nobody believes'
    )
    t.match(
      await refusal({ REDIS_URL: url.replace(password, 'wrong'), REDIS_TLS_CA: tls.caFile }),
      /^REDIS_URL: cannot connect to .*WRONGPASS/
    )
    t.match(
      await refusal({ REDIS_URL: url, REDIS_TLS_CA: join(packageRoot, 'package.json') }),
      /^REDIS_TLS_CA: .*package\.json is no file of certificates in PEM format that can be read \(/
    )
  })
})

t.test('a primary behind sentinels works over TLS, with users that have the documented rights', { skip }, async t => {
  const tls = makeTls(t)
  const group = await startSentinelGroup(t, {
    lines: port => [...tls.lines(port), ...users('signout'), ...following],
    sentinelLines: port => [
      ...tls.lines(port),
      ...users('signout-sentinel'),
      'sentinel sentinel-user root',
      `sentinel sentinel-pass ${adminPassword}`,
      'sentinel auth-user mymaster root',
      `sentinel auth-pass mymaster ${adminPassword}`
    ],
    admin: { ...admin, ...tls.client },
    adminOfSentinels: { ...admin, ...tls.client }
  })
  await expectToWork(t, {
    REDIS_SENTINELS: group.sentinels.map(({ address }) => `rediss://signout-sentinel:${password}@${address}`).join(),
    REDIS_MASTER_NAME: group.masterName,
    REDIS_USERNAME: 'signout',
    REDIS_PASSWORD: password,
    REDIS_TLS_CA: tls.caFile,
    BLOCKLIST_WAIT_REPLICAS: '2'
  })
})

t.test('a Redis cluster works over TLS, with a user that has the documented rights', { skip }, async t => {
  const tls = makeTls(t)
  const cluster = await startCluster(t, {
    lines: port => [...tls.lines(port), 'tls-cluster yes', ...users('signout'), ...following],
    admin: { ...admin, ...tls.client }
  })
  await expectToWork(t, {
    REDIS_CLUSTER_NODES: cluster.nodes.map(({ address }) => `rediss://${address}`).join(),
    REDIS_USERNAME: 'signout',
    REDIS_PASSWORD: password,
    REDIS_TLS_CA: tls.caFile,
    BLOCKLIST_WAIT_REPLICAS: '1'
  })
})
