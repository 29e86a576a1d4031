import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { onEachStorage } from '../support/app.ts'
import { recordTrips } from '../support/blocklist.ts'
import { countSessionUpdates, query } from '../support/database.ts'
import { ask, signUpAdmin, withSessions } from '../support/expect.ts'
import { password, type Pair } from '../support/people.ts'

const copies = 120
const newPassword = 'a wholly different pass phrase'

/** Opens as many sessions as it takes, without a login for each. */
async function copySession (app: FastifyInstance, userId: string): Promise<void> {
  const columns = (await query<{ name: string }>(app, "select column_name as name from information_schema.columns where table_name = 'sessions' and column_name not in ('id', 'refresh_token_hash')")).map(({ name }) => name)
  await query(app, `insert into sessions (id, refresh_token_hash, ${columns.join(', ')})
    select gen_random_uuid(), sha256(convert_to(gen_random_uuid()::text, 'UTF8')), ${columns.join(', ')} from sessions, generate_series(1, ${copies}) where user_id = '${userId}'`)
}

t.test('ending many sessions is one trip to the blocklist and one UPDATE', t => onEachStorage(t, async (t, app) => {
  const { token: admin } = await signUpAdmin(app)
  const acts: Record<string, { act: (id: string, mine: Pair) => Promise<{ statusCode: number }>, ended: number, updates?: number }> = {
    'a logout of all': { act: (_, mine) => ask(app, 'POST', '/logout?scope=all', mine.access_token), ended: copies + 1 },
    'a logout of the others': { act: (_, mine) => ask(app, 'POST', '/logout?scope=others', mine.access_token), ended: copies },
    'a new password': { act: (_, mine) => ask(app, 'PUT', '/me/password', mine.access_token, { current_password: password, new_password: newPassword }), ended: copies },
    // Another one forgets where the sessions were.
    'the deletion of an account': { act: (_, mine) => ask(app, 'DELETE', '/me', mine.access_token, { password }), ended: copies + 1, updates: 2 },
    'another role': { act: id => ask(app, 'PUT', `/users/${id}/role`, admin, { role: 'admin' }), ended: copies + 1 },
    'another status': { act: id => ask(app, 'PUT', `/users/${id}/status`, admin, { status: 'disabled' }), ended: copies + 1 },
    'a revocation by subject': { act: id => ask(app, 'POST', '/revocations', admin, { subject: id }), ended: copies + 1 }
  }
  for (const [name, { act, ended, updates = 1 }] of Object.entries(acts)) {
    const { id, sessions: [mine] } = await withSessions(app, 1)
    await copySession(app, id)
    let trips: unknown[][] = []
    const counted = await countSessionUpdates(app, async () => {
      trips = await recordTrips(app, async () => { t.ok((await act(id, mine as Pair)).statusCode < 300, name) })
    })
    t.equal(counted, updates, name)
    t.equal(trips.length, 1, name)
    t.equal((await query(app, `select 1 from sessions where user_id = '${id}' and ended_at is not null`)).length, ended, name)
    const listed = new Set(trips.flat().filter(revocation => (revocation as { scope: string }).scope === 'session').map(revocation => (revocation as { id: string }).id))
    t.equal(listed.size, ended, name)
  }
}, { MAX_SESSIONS: '1000' }))
