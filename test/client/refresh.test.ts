import t from 'tap'
import { memoryStorage } from '../../client/index.ts'
import { inForm } from '../support/form.ts'
import { signUpAdmin } from '../support/people.ts'
import { send } from '../support/requests.ts'
import { claimsOf, expire } from '../support/sessions.ts'
import { until } from '../support/wait.ts'
import {
  changePair, codeOf, createNetwork, gate, openSignedIn, openTab, readPair, startService, withoutWebLocks,
  type Tab
} from './setup.ts'

const service = await startService(t)
const { app, address } = service

/** Puts an access token that has expired into the storage. */
async function expireToken ({ storage }: Pick<Tab, 'storage'>): Promise<void> {
  const { access } = await readPair(storage)
  await changePair(storage, { access: await expire(app, { access_token: access }) })
}

t.test('any number of parallel requests with an expired token lead to one refresh, and all succeed', async t => {
  const storage = memoryStorage()
  const tab = await openSignedIn(t, service, { storage })
  await expireToken(tab)
  let leases = 0
  const { set } = storage
  storage.set = (key, value) => {
    if (key === 'signout:lease') leases++
    return set(key, value)
  }
  const answers = await Promise.all(Array.from({ length: 30 }, () => tab.client.request('GET /me')))
  t.ok(answers.every(({ username }) => username === tab.username))
  t.equal(tab.network.count('POST /refresh'), 1)
  t.ok(leases <= 1, 'they wait for one refresh, and do not queue for the lease')
  t.equal((await readPair(tab.storage)).serial, 2)
})

t.test('clients that share a storage refresh once, without Web Locks by a lease', async t => {
  withoutWebLocks(t)
  const first = await openSignedIn(t, service)
  await expireToken(first)
  const tabs = [first, ...Array.from({ length: 3 }, () => openTab(t, address, { storage: first.storage }))]
  await Promise.all(tabs.flatMap(({ client }) => [client.request('GET /me'), client.request('GET /token')]))
  t.equal(tabs.reduce((sum, { network }) => sum + network.count('POST /refresh'), 0), 1)
  t.notOk(await first.storage.get('signout:lease'), 'the lease is given back')
})

t.test('a lease of a tab that was closed delays a refresh, and does not stop it', async t => {
  withoutWebLocks(t)
  let now = 0
  const tab = await openSignedIn(t, service, { now: () => (now += 500) })
  await expireToken(tab)
  await tab.storage.set('signout:lease', 'of a tab that was closed')
  t.equal((await tab.client.request('GET /me')).username, tab.username)
  t.ok(now > 5_000)
})

t.test('two clients that cannot see each other refresh at once, get the same pair, and both go on', async t => {
  const a = await openSignedIn(t, service)
  await expireToken(a)
  for (let round = 0; round < inForm({ short: 3, long: 50 }); round++) {
    const b = openTab(t, address, { storage: copyOf(await readPair(a.storage)) })
    await Promise.all([a, b].map(({ client }) => client.request('GET /me')))
    t.same(
      (({ access, refresh }) => ({ access, refresh }))(await readPair(b.storage)),
      (({ access, refresh }) => ({ access, refresh }))(await readPair(a.storage))
    )
    t.same([...a.events, ...b.events].filter(({ type }) => type === 'signed_out'), [])
    await expireToken(a)
  }
})

function copyOf (pair: object) {
  const storage = memoryStorage()
  storage.set('signout:pair', JSON.stringify(pair))
  return storage
}

t.test('a refresh that is answered late never replaces a newer pair', async t => {
  const tab = await openSignedIn(t, service)
  await expireToken(tab)
  const { opened, open } = gate()
  tab.network.after = route => route === 'POST /refresh' ? opened : undefined
  const request = tab.client.request('GET /me')
  await until('the refresh is answered', () => tab.network.said.includes('POST /refresh 200'))
  // Another tab has refreshed twice meanwhile.
  await changePair(tab.storage, {
    serial: 3,
    refresh: 'newer',
    access: (await openSignedIn(t, service)
      .then(({ storage }) => readPair(storage))).access
  })
  open()
  await request
  const { serial, refresh } = await readPair(tab.storage)
  t.same({ serial, refresh }, { serial: 3, refresh: 'newer' })
})

t.test('after a 401 the storage is read again: a token of another tab is used without a refresh', async t => {
  const tab = await openSignedIn(t, service)
  const { access } = await readPair(tab.storage)
  await expireToken(tab)
  let asked = 0
  tab.network.before = async route => {
    if (route === 'GET /me' && asked++ === 0) await changePair(tab.storage, { access, serial: 2 })
    return undefined
  }
  await tab.client.request('GET /me')
  t.same(tab.network.said, ['GET /me 401', 'GET /me 200'])
})

t.test('a token that was revoked alone is replaced by one refresh, also if the storage had another bad one', async t => {
  const tab = await openSignedIn(t, service)
  const admin = await signUpAdmin(app)
  const { access: token } = await readPair(tab.storage)
  await send(app, 'POST /revocations', { token: admin.token, body: { token } })
  await tab.client.request('GET /me')
  t.same(tab.network.said, ['GET /me 401', 'POST /refresh 200', 'GET /me 200'])
  tab.network.said.length = 0
  await expireToken(tab)
  let asked = 0
  tab.network.before = async route => {
    if (route === 'GET /me' && asked++ === 0) await changePair(tab.storage, { access: token, serial: 9 })
    return undefined
  }
  await tab.client.request('GET /me')
  t.same(tab.network.said, ['GET /me 401', 'GET /me 401', 'POST /refresh 200', 'GET /me 200'])
})

t.test('a request that is refused after a refresh too shows the error, and does not refresh again', async t => {
  const tab = await openSignedIn(t, service)
  tab.network.before = route => route === 'GET /me'
    ? Response.json({ error: 'token_revoked', description: 'The token has been revoked.' }, { status: 401 })
    : undefined
  t.equal(await codeOf(tab.client.request('GET /me')), 'token_revoked')
  t.same(tab.network.said, ['GET /me 401', 'POST /refresh 200', 'GET /me 401'])
  t.same(tab.events, [])
})

t.test('an outage, a limit, a timeout, a defect or a proxy at the refresh signs no user out', async t => {
  const tab = await openSignedIn(t, service, { retryWithinMs: 0 })
  await expireToken(tab)
  const error = (status: number, code: string) => () => Response.json({ error: code, description: '' }, { status })
  const faults: Record<string, () => Response | Promise<Response>> = {
    service_unavailable: error(503, 'service_unavailable'),
    too_many_requests: error(429, 'too_many_requests'),
    internal_error: error(500, 'internal_error'),
    network_error: () => { throw new TypeError('fetch failed') },
    unexpected_answer: () => new Response('<h1>Sign in to the network</h1>', { status: 401 })
  }
  const pages = [
    () => new Response('<h1>Sign in to the network</h1>', { status: 200 }), () => Response.json({ message: 'Sign in.' })
  ].map(page => ['unexpected_answer', page] as const)
  for (const [code, fault] of [...Object.entries(faults), ...pages]) {
    tab.network.before = route => route === 'POST /refresh' ? fault() : undefined
    t.equal(await codeOf(tab.client.request('GET /me')), code)
    t.ok((await readPair(tab.storage)).refresh, code)
  }
  tab.network.before = () => undefined
  t.equal((await tab.client.request('GET /me')).username, tab.username)
  t.same(tab.events, [])
})

t.test('a refresh without an answer signs no user out', async t => {
  const { storage } = await openSignedIn(t, service)
  const { client, network, events } = openTab(t, address, { storage, retryWithinMs: 0, timeoutMs: 50 })
  network.before = route => route === 'POST /refresh'
    ? new Promise(() => {})
    : Response.json({ error: 'token_expired', description: '' }, { status: 401 })
  t.equal(await codeOf(client.request('GET /me')), 'timeout')
  t.ok((await readPair(storage)).refresh)
  t.same(events, [])
})

t.test('a 401 of the refresh signs out here and in other tabs, and says that the service ended it', async t => {
  const tab = await openSignedIn(t, service)
  const other = openTab(t, address, { storage: tab.storage })
  t.ok(await other.client.isSignedIn())
  const { access } = await readPair(tab.storage)
  await send(app, 'POST /logout', { token: access })
  t.equal(await codeOf(tab.client.request('GET /me')), 'signed_out')
  t.same(tab.events, [{ type: 'signed_out', reason: 'ended_by_server' }])
  await until('the other tab knows', () => other.events.length > 0)
  t.same(other.events, tab.events)
  t.notOk(await tab.client.isSignedIn())
  t.notMatch(await tab.storage.get('signout:pair'), access)
  tab.network.said.length = 0
  t.equal(await codeOf(tab.client.request('GET /me')), 'signed_out')
  t.same(tab.network.said, [], 'nothing is sent without a user')
})

t.test('a lost answer to a refresh is asked for again, and the user stays signed in', async t => {
  const tab = await openSignedIn(t, service)
  await expireToken(tab)
  let lost = 0
  tab.network.after = route => {
    if (route === 'POST /refresh' && lost++ === 0) throw new TypeError('fetch failed')
  }
  t.equal((await tab.client.request('GET /me')).username, tab.username)
  t.same(tab.network.said.filter(line => line.startsWith('POST')), [
    'POST /refresh 200', 'POST /refresh lost', 'POST /refresh 200'
  ])
})

t.test('a token is renewed once in its lifetime by the monotonic clock, whatever the date is', async t => {
  let now = 0
  const tab = await openSignedIn(t, service, { now: () => now })
  const lifetimeMs = (await readPair(tab.storage)).expiresIn * 1000
  const { now: realDate } = Date
  t.teardown(() => { Date.now = realDate })
  const steps = inForm({ short: 12, long: 120 })
  for (let step = 0; step < 3 * steps; step++) {
    now += lifetimeMs / steps
    // Only the client sees the wrong date: the network sets it right before the service runs.
    Date.now = () => realDate() + (step % 2 === 0 ? 3_600_000 : -3_600_000)
    tab.network.before = () => {
      Date.now = realDate
      return undefined
    }
    await tab.client.request('GET /token')
  }
  t.equal(tab.network.count('POST /refresh'), 3)
  t.notOk(tab.network.said.includes('GET /token 401'), 'no request was sent with a token that has expired')
})

t.test('after a reload the age of the token is unknown, and it is used until the service refuses it', async t => {
  const tab = await openSignedIn(t, service)
  let now = 1e9
  const reloaded = openTab(t, address, { storage: tab.storage, now: () => now })
  const { expiresIn } = await readPair(tab.storage)
  await reloaded.client.request('GET /me')
  now += expiresIn * 1000 - 1
  await reloaded.client.request('GET /me')
  t.equal(reloaded.network.count('POST /refresh'), 0)
  await expireToken(tab)
  await reloaded.client.request('GET /me')
  t.equal(reloaded.network.count('POST /refresh'), 1)
})

t.test('a session that was continued after a reload has the same id at the service', async t => {
  const tab = await openSignedIn(t, service)
  const before = claimsOf({ access_token: (await readPair(tab.storage)).access }).sid
  await expireToken(tab)
  const reloaded = openTab(t, address, { storage: tab.storage }, createNetwork())
  t.equal((await reloaded.client.request('GET /token')).sid, before)
})
