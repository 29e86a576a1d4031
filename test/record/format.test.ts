import t from 'tap'
import { build, serversEnv, type Env } from '../support/app.ts'
import { entriesInRedis, holdProjector } from '../support/blocklist.ts'
import { query } from '../support/database.ts'
import { keepLog } from '../support/log.ts'
import { signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, outcome } from '../support/requests.ts'
import { until } from '../support/wait.ts'

async function scene (t: Parameters<typeof build>[0]) {
  const redis = await ownRedis(t)
  const env: Env = { ...await serversEnv(t), REDIS_URL: redis.url }
  const log = keepLog()
  const app = await build(t, env, log.logger)
  const { token } = await signUp(app)
  const ask = async () => outcome(await get(app, '/token', token))
  const key = `${env['BLOCKLIST_PREFIX']}marker`
  const marker = async () => await redis.admin.get(key)
  await until('it is trusted', async () => await ask() === '200')
  return { app, env, ask, log, marker, setMarker: (text: string) => redis.admin.set(key, text) }
}

t.test('a version trusts no marker and moves none once the record is in a format that it does not know (P2)', async t => {
  const { app, ask, log, marker, setMarker } = await scene(t)
  const later = String(await marker()).replace(/^v2:/, 'v3:')
  await query(app, 'update records set format = 3')
  await setMarker(later)
  t.equal(await ask(), '503 revocation_unavailable')
  await until('the projector has looked', () => log.text().includes('The record is in format 3, and this version'))
  t.equal(await marker(), later, 'it is left to the version that knows it')
  t.equal(await ask(), '503 revocation_unavailable')
  await query(app, 'update records set format = 2')
  await until('the projector has written it again', async () => await ask() === '200')
})

t.test('a marker without a format is of an earlier version, and everything is written again (P2)', async t => {
  const { ask, marker, setMarker } = await scene(t)
  await setMarker(String(await marker()).replace(/^v2:/, ''))
  t.equal(await ask(), '503 revocation_unavailable')
  await until('the projector has written it again', async () => await ask() === '200')
  t.match(await marker(), /^v2:/)
})

t.test('a marker of another format is gone before everyone, or a key, is revoked (P1)', async t => {
  const { app, env, marker, setMarker } = await scene(t)
  const { kid } = await app.keyRing.getSigningKey()
  await holdProjector(app)
  for (const [work, entry] of [
    [() => app.revocationRequests.revoke({ everyone: true, reason: 'a test' }, {}), 'everyone'],
    [() => app.keyAdministration.retire(kid, true, {}), `kid:${kid}`]
  ] as const) {
    await setMarker('00000000-0000-4000-8000-000000000000:7')
    await work()
    t.equal(await marker(), null, 'an earlier version refuses all tokens now')
    t.ok((await entriesInRedis(env)).has(entry))
  }
})
