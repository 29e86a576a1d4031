import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { onEachStorage } from '../support/app.ts'
import { everyRow, query } from '../support/database.ts'
import { password, register } from '../support/people.ts'
import { expectError, send } from '../support/requests.ts'
import { randomName } from '../support/services.ts'

const wrong = 'not the right password'
const login = (app: FastifyInstance, username: string, remoteAddress: string, typed = wrong) =>
  send(app, 'POST /login', { body: { username, password: typed }, remoteAddress })

/** Repeats the work until it fits into one minute, with a new user each time. */
async function withinOneMinute<T> (app: FastifyInstance, work: () => Promise<T>): Promise<T> {
  for (;;) {
    const minute = async () =>
      (await query(app, "select date_trunc('minute', clock_timestamp())::text as minute"))[0]?.['minute']
    const before = await minute()
    const result = await work()
    if (await minute() === before) return result
  }
}

t.test('failed logins are recorded and counted by user, place and minute', t => onEachStorage(t, async (t, app) => {
  const failuresOf = (where: string) =>
    query(
      app,
      `select ip::text as ip, count, session_id, details from security_events where type = 'login_failed' and ${where} order by position`
    )
  const row = (ip: string, count: number) => ({ ip, count, session_id: null, details: null })

  await t.test('failed logins of an account from one place within a minute are one row', async t => {
    const id = await withinOneMinute(app, async () => {
      const { id, username } = await register(app)
      const other = await register(app)
      for (let count = 0; count < 47; count++) {
        await app.securityEvents.countFailure({ type: 'login_failed', userId: id, requester: { ip: '192.0.2.1' } })
      }
      for (let count = 0; count < 3; count++) t.equal((await login(app, username, '192.0.2.1')).statusCode, 401)
      await login(app, username, '192.0.2.2')
      await login(app, other.username, '192.0.2.1')
      return id
    })
    t.same(await failuresOf(`user_id = '${id}'`), [row('192.0.2.1/32', 50), row('192.0.2.2/32', 1)])
  })

  await t.test('failed logins from addresses of one IPv6 /64 are from one place', async t => {
    const id = await withinOneMinute(app, async () => {
      const { id, username } = await register(app)
      for (const ip of [
        '2001:db8:0:1::1', '2001:db8:0:1:ffff::2', '2001:db8:0:2::1', '::ffff:192.0.2.7', '192.0.2.7'
      ]) {
        await login(app, username, ip)
      }
      return id
    })
    t.same(await failuresOf(`user_id = '${id}'`), [
      row('2001:db8:0:1::/64', 2), row('2001:db8:0:2::/64', 1), row('192.0.2.7/32', 2)
    ])
  })

  await t.test('failed logins in another minute are another row', async t => {
    const id = await withinOneMinute(app, async () => {
      const { id, username } = await register(app)
      await login(app, username, '192.0.2.1')
      await query(
        app,
        `update security_events set counted_as = replace(counted_as, to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI'), '2020-01-01T00:00') where user_id = '${id}'`
      )
      await login(app, username, '192.0.2.1')
      await login(app, username, '192.0.2.1')
      return id
    })
    t.same(await failuresOf(`user_id = '${id}'`), [row('192.0.2.1/32', 1), row('192.0.2.1/32', 2)])
  })

  await t.test('failed logins with unknown usernames are counted together, without the usernames', async t => {
    const usernames = [randomName(), randomName(), 'not a username at all', 'ada\u0000']
    const place = await withinOneMinute(app, async () => {
      const place = `192.0.2.${100 + Math.floor(Math.random() * 100)}`
      await query(app, 'delete from security_events where user_id is null')
      for (const username of usernames) await login(app, username, place)
      return place
    })
    t.same(await failuresOf('user_id is null'), [row(`${place}/32`, 4)])
    t.same(
      (await everyRow(app)).filter(row =>
        usernames.some(username => row.includes(username.replace('\u0000', '')) && username.length > 5)
      ),
      []
    )
  })

  await t.test('a right password of a disabled account is recorded as a failed login', async t => {
    const id = await withinOneMinute(app, async () => {
      const { id, username } = await register(app)
      await query(app, `update users set status = 'disabled' where id = '${id}'`)
      for (let count = 0; count < 2; count++) {
        expectError(t, await login(app, username, '192.0.2.1', password), 403, 'account_disabled')
      }
      return id
    })
    t.same(await failuresOf(`user_id = '${id}'`), [row('192.0.2.1/32', 2)])
  })

  await t.test('a right password is not recorded as a failed login', async t => {
    const { id, username } = await register(app)
    t.equal((await login(app, username, '192.0.2.1', password)).statusCode, 200)
    t.same(await failuresOf(`user_id = '${id}'`), [])
  })
}))
