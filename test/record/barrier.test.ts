import type { FastifyInstance } from 'fastify'
import { decodeJwt } from 'jose'
import t, { type Test } from 'tap'
import { appendRevocations } from '../../src/record/append.ts'
import { projectorWaiting, query } from '../support/database.ts'
import { signIn } from '../support/people.ts'
import { expectNeverAccepted, logOutFor, startReplicas } from '../support/replicas.ts'
import { get } from '../support/requests.ts'
import { until } from '../support/wait.ts'
import { sqlOf } from '../../src/db/statements.ts'

t.test('the marker does not pass a revocation that has its position and is not committed yet (P2)', async t => {
  const replicas = await startReplicas(t, { DATABASE_DEADLINE_MS: '60000' })
  const { a, b, apps, env, redis, username, leaving } = replicas
  const { access_token: overtaking } = await signIn(b, username)
  const marker = async () => Number(/\d+$/.exec(String(await redis.admin.get(`${env['BLOCKLIST_PREFIX']}marker`)))?.[0])
  const before = await marker()
  const slow = await logOutSlowly(t, a, leaving)
  await logOutFor(t, b, overtaking)
  t.equal((await get(a, '/token', overtaking)).statusCode, 401, 'others do not wait for it')
  await until('the projector does', async () => (await query(a, projectorWaiting)).length > 0)
  t.equal(await marker(), before)
  const { position: head } = await a.revocationRecord.readHead()
  t.equal(head, before + 3)
  await slow.commit()
  await until('it takes effect', async () => (await get(b, '/token', leaving)).statusCode === 401)
  await until('the marker follows', async () => await marker() === head)
  await expectNeverAccepted(t, replicas, leaving, async () => { await redis.admin.flushall() })
  for (const app of apps) t.equal((await get(app, '/token', overtaking)).statusCode, 401)
})

t.test('no logout waits for one whose transaction takes long, whatever the projector does (P2)', async t => {
  const { a, b, username, leaving } = await startReplicas(t, { DATABASE_DEADLINE_MS: '60000' })
  const others = [await signIn(b, username), await signIn(b, username)]
  const slow = await logOutSlowly(t, a, leaving)
  for (const { access_token: other } of others) {
    await logOutFor(t, b, other)
    await until('the projector waits', async () => (await query(a, projectorWaiting)).length > 0)
    t.equal((await get(a, '/token', other)).statusCode, 401)
  }
  await slow.commit()
  await until('it takes effect', async () => (await get(b, '/token', leaving)).statusCode === 401)
})

t.test('a logout that never ends does not hold the projector for long', async t => {
  const { a, leaving } = await startReplicas(t, { DATABASE_DEADLINE_MS: '60000' })
  const slow = await logOutSlowly(t, a, leaving)
  const { recordId } = await a.revocationRecord.readHead()
  await t.rejects(a.revocationRecord.settleHead(recordId), {
    message: 'A transaction has been adding revocations for more than 2 s.'
  })
  await slow.commit()
  t.match(await a.revocationRecord.settleHead(recordId), { recordId })
})

/** A logout whose process ends between its commit, which takes long, and what it writes to Redis. */
async function logOutSlowly (t: Test, app: FastifyInstance, token: string): Promise<{ commit (): Promise<void> }> {
  let open = () => {}
  const gate = new Promise<void>(resolve => { open = resolve })
  const { jti = '', exp = 0 } = decodeJwt(token)
  let hasPosition = false
  const done = app.database.transaction(async db => {
    await appendRevocations(sqlOf(db), [{ scope: 'token', id: jti, expiresAt: exp, reason: 'logout' }])
    hasPosition = true
    await gate
  })
  t.teardown(open)
  await until('it has its position', () => hasPosition)
  return { async commit () { open(); await done } }
}

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
