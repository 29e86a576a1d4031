import { decodeJwt } from 'jose'
import t, { type Test } from 'tap'
import { testFault } from '../support/fault.ts'
import { signIn } from '../support/people.ts'
import { redisServer } from '../support/redis-process.ts'
import { ownRedis, type OwnRedis } from '../support/redis-server.ts'
import { logOutFor, startReplicasOn, type Replicas } from '../support/replicas.ts'
import { get, logOut, outcome } from '../support/requests.ts'
import { timed, until } from '../support/wait.ts'
import { entryKey } from '../../src/entries/revocation.ts'
import { expectRefused } from './patience.ts'
import { topologyRows } from './rows/topologies.ts'

const deadlineMs = 2_500
/** Far above the deadline. Far below the time that logouts would take one after another. */
const tooLateMs = 15_000

interface Scene extends Omit<Replicas, 'redis'> {
  primary: OwnRedis
  follower: OwnRedis
  /** Returns true if the Redis replica has the entry of a token. */
  has (token: string): Promise<boolean>
}

async function scene (t: Test, waitFor: string, withinMs = deadlineMs): Promise<Scene> {
  const [primary, follower] = [await ownRedis(t), await ownRedis(t)]
  const { host, port } = primary.peer()
  await follower.admin.replicaof(host, port)
  await until('it follows', async () => /master_link_status:up/.test(await follower.admin.info('replication')))
  const replicas = await startReplicasOn(t, {
    REDIS_URL: primary.url, BLOCKLIST_WAIT_REPLICAS: waitFor, BLOCKLIST_DEADLINE_MS: String(withinMs)
  })
  return {
    ...replicas,
    primary,
    follower,
    has: async token =>
      (await follower.admin.exists(
        `${replicas.env['BLOCKLIST_PREFIX']}${entryKey('token', String(decodeJwt(token).jti))}`
      )) === 1
  }
}

const skip = redisServer === undefined ? 'servers in containers cannot reach each other here' : false

testFault(t, topologyRows.waitReplicaStalled, async t => {
  const { a, b, follower, good, leaving, username, has } = await scene(t, '1')
  await logOutFor(t, a, leaving)
  t.ok(await has(leaving), 'it is there when the logout is answered')
  const { access_token: other } = await signIn(a, username)
  follower.pause()
  const { value, elapsedMs } = await timed(() => logOut(a, other))
  t.equal(value && outcome(value), '503 revocation_unavailable')
  t.ok(elapsedMs < tooLateMs)
  t.equal(
    outcome(await get(b, '/token', other)), '401 token_revoked', 'the record stands, and so does what was written'
  )
  follower.resume()
  await until('it is confirmed again', async () => {
    const { access_token: token } = await signIn(a, username)
    return (await logOut(a, token)).statusCode === 200
  })
  t.equal(outcome(await get(a, '/token', good)), '200')

  await t.test('look-ups never wait for Redis replicas, and many logouts do not wait for one another', async t => {
    const pairs = await Promise.all(Array.from({ length: 30 }, () => signIn(a, username)))
    const tokens = pairs.map(pair => pair.access_token)
    follower.pause()
    const leaving = timed(() => Promise.all(tokens.map(token => logOut(a, token))))
    for (let asked = 0; asked < 20; asked++) {
      const { value, elapsedMs } = await timed(() => get(a, '/token', good))
      t.equal(value?.statusCode, 200)
      t.ok(elapsedMs < deadlineMs, `within ${Math.round(elapsedMs)} ms`)
    }
    const { value: answers, elapsedMs } = await leaving
    t.same([...new Set(answers?.map(outcome))], ['503 revocation_unavailable'])
    t.ok(elapsedMs < tooLateMs, `within ${Math.round(elapsedMs)} ms`)
    follower.resume()
    await until('it is confirmed again', async () => {
      const { access_token: token } = await signIn(a, username)
      return (await logOut(a, token)).statusCode === 200
    })
    for (const token of tokens) t.equal(outcome(await get(b, '/token', token)), '401 token_revoked')
  })
}, { skip })

testFault(t, topologyRows.waitReplicasTooFew, async t => {
  const { a, b, leaving } = await scene(t, '2', 400)
  t.equal(outcome(await logOut(a, leaving)), '503 revocation_unavailable')
  await expectRefused(t, [a, b], leaving)
}, { skip })
