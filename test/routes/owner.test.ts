import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { shareStorages } from '../support/app.ts'
import { query } from '../support/database.ts'
import { password, register, type Pair } from '../support/people.ts'
import { logOut, send } from '../support/requests.ts'

/** A login from an address, as the proxy passes it on. */
const loginFrom = (app: FastifyInstance, username: string, address: string, typed = password) =>
  send(app, 'POST /login', {
    headers: { 'x-forwarded-for': address }, body: { username, password: typed }, remoteAddress: '10.0.0.1'
  })

const settings = { TRUST_PROXY: '10.0.0.0/8', LIMIT_PASSWORD_BY_ACCOUNT: '5/900' }

/** Strangers guess, each from a place of their own, until the limit of the account is used up. */
async function useUp (app: FastifyInstance, username: string): Promise<number[]> {
  const statuses: number[] = []
  for (let last = 1; last <= 6; last++) {
    statuses.push((await loginFrom(app, username, `203.0.113.${last}`, 'a guess')).statusCode)
  }
  return statuses
}

const storages = shareStorages(t, settings)

t.test('strangers do not lock an owner out at places where the account has signed in before', t => storages(t, async (t, app) => {
  const { username } = await register(app)
  for (const address of ['198.51.100.1', '2001:db8:1:2::1']) {
    t.equal((await loginFrom(app, username, address)).statusCode, 200)
  }
  t.same(await useUp(app, username), [401, 401, 401, 401, 401, 429])
  for (const address of ['198.51.100.1', '::ffff:198.51.100.1', '2001:db8:1:2::1', '2001:db8:1:2:ffff::9']) {
    t.equal((await loginFrom(app, username, address)).statusCode, 200, address)
  }
  for (const address of ['198.51.100.2', '203.0.113.1', '2001:db8:1:3::1', '10.0.0.1']) {
    const answer = await loginFrom(app, username, address)
    t.equal(answer.statusCode, 429, address)
    t.match(answer.headers['ratelimit-policy'], '"password-by-account"', address)
  }
  t.equal(
    (await loginFrom(app, username, '198.51.100.1', 'a guess')).statusCode, 401, 'a wrong password is wrong there too'
  )
}))

t.test('the last place of a live session is known, even if its security events were deleted', t => storages(t, async (t, app) => {
  const { username } = await register(app)
  await loginFrom(app, username, '198.51.100.1')
  await loginFrom(app, username, '2001:db8:1:2::1')
  const over = (await loginFrom(app, username, '198.51.100.3')).json() as Pair
  await logOut(app, over.access_token)
  await query(app, 'delete from security_events')
  await useUp(app, username)
  for (const address of ['198.51.100.1', '2001:db8:1:2:ffff::9']) {
    t.equal((await loginFrom(app, username, address)).statusCode, 200, address)
  }
  for (const address of ['198.51.100.3', '2001:db8:1:3::1']) {
    t.equal((await loginFrom(app, username, address)).statusCode, 429, `${address}: nothing is known of it any more`)
  }
}))

t.test('a place is known after a right password there, and not after a refresh', t => storages(t, async (t, app) => {
  const { username } = await register(app)
  const from = (address: string) => ({ remoteAddress: '10.0.0.1', headers: { 'x-forwarded-for': address } })
  const stolen = (await loginFrom(app, username, '198.51.100.1')).json() as Pair
  const refreshed = await send(app, 'POST /refresh', {
    body: { refresh_token: stolen.refresh_token }, ...from('198.51.100.66')
  })
  t.equal(refreshed.statusCode, 200)
  const { access_token: token } = (await loginFrom(app, username, '198.51.100.1')).json() as Pair
  const body = { current_password: password, new_password: password }
  t.equal((await send(app, 'PUT /me/password', { token, body, ...from('198.51.100.2') })).statusCode, 200)
  await useUp(app, username)
  t.equal(
    (await loginFrom(app, username, '198.51.100.66')).statusCode, 429, 'a thief who refreshed there is a stranger'
  )
  t.equal((await loginFrom(app, username, '198.51.100.1')).statusCode, 200, 'where the owner signed in')
  t.equal((await loginFrom(app, username, '198.51.100.2')).statusCode, 200, 'where the owner changed the password')
}))
