import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { memoryStorage, type TokenStorage } from '../../client/index.ts'
import { letTimePass } from '../support/database.ts'
import { password, register, signIn } from '../support/people.ts'
import { get, outcome } from '../support/requests.ts'
import { until } from '../support/wait.ts'
import { changePair, codeOf, gate, openSignedIn, openTab, readPair, startService } from './setup.ts'

const service = await startService(t)
const { app, address } = service

const offline = () => { throw new TypeError('fetch failed') }
const accessOf = async (storage: TokenStorage) => (await readPair(storage)).access
/** Returns how the service answers a request with a token: `200`, or `401 token_revoked`. */
const answerTo = async (token: string) => outcome(await get(app, '/me', token))

t.test('signOut removes the tokens, ends the session at the service, and says so', async t => {
  const { client, storage, events } = await openSignedIn(t, service)
  const token = await accessOf(storage)
  t.same(await client.signOut(), { server: 'ended' })
  t.equal(await answerTo(token), '401 token_revoked')
  t.same(events, [{ type: 'signed_out', reason: 'signed_out' }, { type: 'ended_at_server' }])
  t.notOk(await client.isSignedIn())
  t.same(Object.keys(await readPair(storage)).sort(), ['end', 'serial', 'session'], 'no token is left')
  t.notOk(await storage.get('signout:ending'))
  t.same(await client.signOut(), { server: 'ended' }, 'a second one changes nothing')
})

t.test('signOut without a network removes the tokens at once, and the next page ends the session', async t => {
  const { client, storage, network, events } = await openSignedIn(t, service)
  const token = await accessOf(storage)
  network.before = offline
  t.same(await client.signOut(), { server: 'pending' })
  t.equal(network.count('POST /logout'), 1, 'it does not wait for the network')
  t.same(events, [{ type: 'signed_out', reason: 'signed_out' }])
  t.notOk(await client.isSignedIn())
  t.equal(await answerTo(token), '200')
  client.close()
  const reloaded = openTab(t, address, { storage })
  await until('the session has ended', () => reloaded.events.some(({ type }) => type === 'ended_at_server'))
  t.equal(await answerTo(token), '401 token_revoked')
  t.notOk(await storage.get('signout:ending'))
})

t.test('a pending sign-out goes on in the same page when the network is back', async t => {
  const { client, storage, network, events } = await openSignedIn(t, service)
  const token = await accessOf(storage)
  network.before = offline
  t.same(await client.signOut(), { server: 'pending' })
  network.before = () => undefined
  await until('the session has ended', () => events.some(({ type }) => type === 'ended_at_server'))
  t.equal(await answerTo(token), '401 token_revoked')
})

t.test('tokens that the service refuses as revoked are a success of signOut', async t => {
  const { client, network, events } = await openSignedIn(t, service)
  network.before = () =>
    Response.json({ error: 'token_revoked', description: 'The token has been revoked.' }, { status: 401 })
  t.same(await client.signOut(), { server: 'ended' })
  t.same(network.said, ['POST /logout 401'])
  t.match(events, [{ type: 'signed_out' }, { type: 'ended_at_server' }])
})

t.test('a page of a proxy in place of the answer is no success of signOut', async t => {
  for (const status of [200, 401, 503]) {
    const { client, network } = await openSignedIn(t, service, { retryWithinMs: 0 })
    network.before = () => new Response('<h1>Sign in to the network</h1>', { status })
    t.same(await client.signOut(), { server: 'pending' }, String(status))
  }
})

t.test('signOut aborts requests under way, a refresh and a long answer of an own API included', async t => {
  const api = createServer((_, response) => { response.write('The first part.') })
  await new Promise<void>(resolve => { api.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { api.closeAllConnections() })
  t.teardown(() => { api.close() })
  const { client, network } = await openSignedIn(t, service)
  const stream = await client.fetch(`http://127.0.0.1:${(api.address() as AddressInfo).port}/`)
  network.before = (route, { signal }) => route === 'POST /logout'
    ? undefined
    : new Promise((_resolve, reject) => { signal.addEventListener('abort', () => { reject(signal.reason) }) })
  const aborted = [
    stream.text(), client.request('GET /me'), client.fetch(`${address}/token`), client.reauthenticate(password)
  ].map(codeOf)
  t.same(await client.signOut(), { server: 'ended' })
  t.same(await Promise.all(aborted), ['signed_out', 'signed_out', 'signed_out', 'signed_out'])
})

t.test('a refresh that was under way at the sign-out leaves the user signed out', async t => {
  const { client, network, storage } = await openSignedIn(t, service)
  const other = openTab(t, address, { storage })
  await storage.set('signout:pair', JSON.stringify({ ...await readPair(storage), access: 'not a token' }))
  const { opened, open } = gate()
  other.network.after = route => route === 'POST /refresh' ? opened : undefined
  const request = codeOf(other.client.request('GET /me'))
  await until('the refresh is answered', () => other.network.said.includes('POST /refresh 200'))
  t.same(await client.signOut(), { server: 'ended' })
  open()
  t.equal(await request, 'signed_out')
  t.ok((await readPair(storage)).end)
  t.equal(network.count('POST /logout'), 1)
})

t.test('a sign-out in one tab aborts the requests of the other tabs, and tells their listeners', async t => {
  const { client, storage } = await openSignedIn(t, service)
  const other = openTab(t, address, { storage })
  await other.client.request('GET /me')
  other.network.before = route => route === 'GET /me' ? new Promise(() => {}) : undefined
  const request = codeOf(other.client.request('GET /me'))
  await client.signOut()
  t.equal(await request, 'signed_out')
  t.same(other.events, [{ type: 'signed_out', reason: 'signed_out' }])
})

t.test('a sign-in of another user ends the session that the client had', async t => {
  const { client, storage, events } = await openSignedIn(t, service)
  const token = await accessOf(storage)
  const { username } = await register(app)
  await client.signIn({ username, password })
  t.equal((await client.request('GET /me')).username, username)
  await until('the old session has ended', async () => await answerTo(token) === '401 token_revoked')
  t.match(events, [{ type: 'signed_in' }])
})

t.test('a pending sign-out does not stop a new sign-in, and ends the old session only', async t => {
  const { client, storage, network, username } = await openSignedIn(t, service)
  const token = await accessOf(storage)
  network.before = route => route === 'POST /logout' ? offline() : undefined
  t.same(await client.signOut(), { server: 'pending' })
  await client.signIn({ username, password })
  network.before = () => undefined
  await until('the old session has ended', async () => await answerTo(token) === '401 token_revoked')
  t.equal((await client.request('GET /me')).username, username)
})

t.test('a storage that cannot remember the tokens to be ended does not keep signOut from ending them', async t => {
  const storage = memoryStorage()
  const { set } = storage
  const { client } = await openSignedIn(t, service, { storage })
  const token = await accessOf(storage)
  storage.set = () => { throw new Error('The quota is exceeded.') }
  t.same(await client.signOut(), { server: 'ended' })
  t.equal(await answerTo(token), '401 token_revoked')
  t.notOk(await client.isSignedIn())
  storage.set = set
})

t.test('signOutEverywhere ends all sessions, and asks for the password when it was proved long ago', async t => {
  const { client, username, events, network, storage } = await openSignedIn(t, service)
  await letTimePass(app, 3_600)
  const { access_token: elsewhere } = await signIn(app, username)
  // The token of a refresh says when the password was proved.
  await changePair(storage, { access: 'not a token' })
  await client.request('GET /me')
  network.said.length = 0
  t.equal(await codeOf(client.signOutEverywhere()), 'insufficient_user_authentication')
  t.same(network.said, ['POST /logout?scope=all 401'], 'a refresh would not help')
  t.ok(await client.isSignedIn())
  t.equal(await codeOf(client.signOutEverywhere({ password: 'wrong' })), 'invalid_credentials')
  t.equal(await answerTo(elsewhere), '200')
  await client.signOutEverywhere({ password })
  t.equal(await answerTo(elsewhere), '401 token_revoked')
  t.same(events, [{ type: 'signed_out', reason: 'signed_out' }])
})

t.test('reauthenticate and changePassword keep the user signed in, and deleteAccount signs out', async t => {
  const { client, storage, username, events } = await openSignedIn(t, service)
  const first = await accessOf(storage)
  await client.reauthenticate(password)
  t.equal(await answerTo(first), '401 token_revoked')
  const next = 'another correct horse battery staple'
  t.equal(await codeOf(client.reauthenticate('wrong')), 'invalid_credentials')
  await client.changePassword({ current_password: password, new_password: next })
  t.equal((await client.request('GET /me')).username, username)
  t.same(events, [], 'the user did not change')
  await client.deleteAccount(next)
  t.same(events, [{ type: 'signed_out', reason: 'signed_out' }])
  t.equal(await codeOf(client.signIn({ username, password: next })), 'invalid_credentials')
})
