import t from 'tap'
import { build, serversEnv } from '../support/app.ts'
import { query } from '../support/database.ts'

t.test('a record gets one new id, even if several replicas find out at once that it needs one (P2)', async t => {
  const { revocationRecord: record } = await build(t, await serversEnv(t))
  const { recordId } = await record.readHead()
  const before = await record.listNames()
  const renamed = await Promise.all(Array.from({ length: 5 }, () => record.rename(recordId)))
  t.equal(renamed.filter(Boolean).length, 1)
  const names = await record.listNames()
  t.same(names.slice(1), before)
  t.equal((await record.readHead()).recordId, names[0])
})

t.test('a record is marked at its end, under its present id, and a mark never goes back (P2)', async t => {
  const app = await build(t, await serversEnv(t))
  const record = app.revocationRecord
  const { recordId } = await record.readHead()
  t.equal(await record.rename(recordId), true)
  await query(app, "select setval('revocations_position_seq', 1000)")
  t.equal(await record.settleHead(recordId), undefined)
  t.same(await query(app, `select id from records where id = '${recordId}' and marked >= 1000`), [])
  const present = await record.readHead()
  t.match(await record.settleHead(present.recordId), { recordId: present.recordId, position: 1_000 })
  t.equal((await record.readHead()).marked, 1_000)
  await query(app, "select setval('revocations_position_seq', 900)")
  t.match(await record.settleHead(present.recordId), { position: 900 }, 'Postgres was restored')
  t.equal((await record.readHead()).marked, 1_000)
})
