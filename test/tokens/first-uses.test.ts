import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import t from 'tap'
import type { Database } from '../../src/db/database.ts'
import { createFirstUses } from '../../src/tokens/first-uses.ts'
import { build, serversEnv } from '../support/app.ts'
import { sessionRow } from '../support/database.ts'
import { signUp } from '../support/people.ts'
import { get } from '../support/requests.ts'
import { sessionIdOf } from '../support/sessions.ts'

t.test('notes of used tokens never wait for a logout, which would be a deadlock', async t => {
  const app = await build(t, await serversEnv(t))
  const [held, free] = [(await signUp(app)).pair, (await signUp(app)).pair]
  const areMarked = async () => await Promise.all([held, free].map(async pair =>
    (await sessionRow(app, sessionIdOf(pair)))['used_at'] !== null))
  await app.database.transaction(async db => {
    await db.execute(sql`select from sessions where id = ${sessionIdOf(held)} for update`)
    for (const { access_token: token } of [held, free]) t.equal((await get(app, '/token', token)).statusCode, 200)
    await app.firstUses.flush()
    t.same(await areMarked(), [false, true], 'while one session is locked')
  })
  await app.firstUses.flush()
  t.same(await areMarked(), [true, true], 'a note that met a lock is tried again')
})

t.test('a flush waits for the notes that are being written', async t => {
  let finish = (_: { rows: [] }) => {}
  const run = () => new Promise(resolve => { finish = resolve })
  const uses = createFirstUses({ run } as unknown as Database)
  uses.note({ sid: randomUUID(), jti: randomUUID() })
  const first = uses.flush()
  const seen: string[] = []
  const second = uses.flush().then(() => { seen.push('second') })
  await new Promise(resolve => { setImmediate(resolve) })
  t.same(seen, [])
  finish({ rows: [] })
  await Promise.all([first, second])
})
