import { decodeJwt } from 'jose'
import t from 'tap'
import { appendRevocations } from '../../src/record/record.ts'
import { query } from '../support/database.ts'
import { signIn } from '../support/people.ts'
import { expectNeverAccepted, logOutFor, startReplicas } from '../support/replicas.ts'
import { get } from '../support/requests.ts'
import { until } from '../support/wait.ts'
import { sqlOf } from '../../src/db/statements.ts'

const waitingForLocks = `select 1 from pg_locks where locktype = 'advisory' and not granted
  and database = (select oid from pg_database where datname = current_database())`

t.test('the marker does not pass a revocation that has its position and is not committed yet (P2)', async t => {
  const replicas = await startReplicas(t, { DATABASE_DEADLINE_MS: '60000' })
  const { a, b, apps, env, redis, username, leaving } = replicas
  const marker = async () => Number(/\d+$/.exec(String(await redis.admin.get(`${env['BLOCKLIST_PREFIX']}marker`)))?.[0])
  const before = await marker()
  let commit = () => {}
  const gate = new Promise<void>(resolve => { commit = resolve })
  const { jti = '', exp = 0 } = decodeJwt(leaving)
  let hasPosition = false
  // A slow logout, whose process ends before it has written to Redis.
  const slow = a.database.transaction(async db => {
    await appendRevocations(sqlOf(db), [{ scope: 'token', id: jti, expiresAt: exp, reason: 'logout' }])
    hasPosition = true
    await gate
  })
  await until('it has its position', () => hasPosition)
  const { access_token: overtaking } = await signIn(b, username)
  await logOutFor(t, b, overtaking)
  t.equal((await get(a, '/token', overtaking)).statusCode, 401, 'others do not wait for it')
  await until('the projector does', async () => (await query(a, waitingForLocks)).length > 0)
  t.equal(await marker(), before)
  const { position: head } = await a.revocationRecord.readHead()
  t.equal(head, before + 3)
  commit()
  await slow
  await until('it takes effect', async () => (await get(b, '/token', leaving)).statusCode === 401)
  t.equal(await marker(), head)
  await expectNeverAccepted(t, replicas, leaving, async () => { await redis.admin.flushall() })
  for (const app of apps) t.equal((await get(app, '/token', overtaking)).statusCode, 401)
})

t.test('a revocation that is rolled back leaves a gap that no replica waits for (P2)', async t => {
  const { a, apps, env, redis, good, username } = await startReplicas(t)
  const { position: before } = await a.revocationRecord.readHead()
  await t.rejects(a.database.transaction(async db => {
    await appendRevocations(sqlOf(db), [{ scope: 'token', id: 'never', expiresAt: 0, reason: 'logout' }])
    throw new Error('It changes its mind.')
  }), { message: 'It changes its mind.' })
  await logOutFor(t, a, (await signIn(a, username)).access_token)
  const { position: head } = await a.revocationRecord.readHead()
  t.equal(head, before + 3, 'the gap, and the token and the session that were logged out')
  await until('the marker passes the gap', async () =>
    new RegExp(`:${head}$`).test(String(await redis.admin.get(`${env['BLOCKLIST_PREFIX']}marker`)))
  )
  for (const app of apps) t.equal((await get(app, '/token', good)).statusCode, 200)
})
