import t from 'tap'
import { memoryStorage, webStorage, type TokenStorage } from '../../client/index.ts'
import { password, register } from '../support/people.ts'
import { changePair, codeOf, openSignedIn, openTab, readPair, startService } from './setup.ts'

const service = await startService(t)
const { app, address } = service

/** A storage that can fail. */
function brittleStorage (): TokenStorage & { fails: Set<'get' | 'set' | 'remove'> } {
  const { get, set, remove } = memoryStorage()
  const fails = new Set<'get' | 'set' | 'remove'>()
  const guard = (name: 'get' | 'set' | 'remove') => {
    if (fails.has(name)) throw new Error(`The storage cannot ${name}.`)
  }
  return {
    fails,
    async get (key) {
      guard('get')
      return await get(key)
    },
    async set (key, value) {
      guard('set')
      await set(key, value)
    },
    async remove (key) {
      guard('remove')
      await remove(key)
    }
  }
}

t.test('a pair that cannot be stored is used until the page ends, and stored as soon as that works', async t => {
  const storage = brittleStorage()
  const { client, events, username, network } = await openSignedIn(t, service, { storage })
  await changePair(storage, { access: 'not a token' })
  const before = await readPair(storage)
  storage.fails.add('set')
  t.equal((await client.request('GET /me')).username, username)
  t.match(events, [{ type: 'storage_failed', error: { code: 'storage_failed' } }])
  await client.request('GET /me')
  t.equal(network.count('POST /refresh'), 1, 'the spent refresh token in the storage is not used')
  t.same(await readPair(storage), before)
  storage.fails.clear()
  await client.request('GET /me')
  t.equal((await readPair(storage)).serial, before.serial + 1)
})

t.test('a pair of another tab replaces one that could not be stored', async t => {
  const storage = brittleStorage()
  const { client, username } = await openSignedIn(t, service, { storage })
  storage.fails.add('set')
  await client.reauthenticate(password)
  storage.fails.clear()
  const { username: other } = await register(app)
  const tab = openTab(t, address, { storage })
  await tab.client.signIn({ username: other, password })
  t.equal((await client.request('GET /me')).username, other)
  t.not(username, other)
})

t.test('a storage that cannot be read signs no user out, and never leads to a refresh with an old token', async t => {
  const storage = brittleStorage()
  const { client, events, username, network } = await openSignedIn(t, service, { storage })
  storage.fails.add('get')
  t.equal((await client.request('GET /me')).username, username)
  network.before = () => Response.json({ error: 'token_expired', description: '' }, { status: 401 })
  t.equal(await codeOf(client.request('GET /me')), 'storage_failed')
  t.equal(network.count('POST /refresh'), 0)
  t.same(events, [])
  network.before = () => undefined
  t.same(await client.signOut(), { server: 'ended' })
})

t.test('a storage that never works leaves a client that works in memory', async t => {
  const forbidden = webStorage(() => { throw new Error('The user denied access to this storage.') })
  const { username } = await register(app)
  const { client, events, network } = openTab(t, address, { storage: forbidden })
  t.equal(await codeOf(client.request('GET /me')), 'storage_failed')
  t.equal(await codeOf(client.signOut()), 'storage_failed', 'it is not known who is signed in')
  await client.signIn({ username, password })
  t.equal((await client.request('GET /me')).username, username)
  t.same(events.map(({ type }) => type), ['storage_failed'])
  t.same(await client.signOut(), { server: 'ended' })
  t.same(network.said, ['POST /login 200', 'GET /me 200', 'POST /logout 200'])
  t.equal(await codeOf(client.request('GET /me')), 'signed_out')
})

t.test('a storage that was locked at the start does not bring an older user back', async t => {
  const storage = brittleStorage()
  const old = await openSignedIn(t, service, { storage })
  storage.fails.add('get').add('set')
  const { client } = openTab(t, address, { storage })
  const { username } = await register(app)
  await client.signIn({ username, password })
  storage.fails.clear()
  t.equal((await client.request('GET /me')).username, username)
  t.equal((await old.client.request('GET /me')).username, username, 'other tabs get the newer pair')
})

t.test('a text that is no pair counts as nothing', async t => {
  for (const text of ['', '{', 'null', '[]', '"x"', '{"session":1}', '{"session":"a"}']) {
    const storage = memoryStorage()
    await storage.set('signout:pair', text)
    await storage.set('signout:ending', text)
    const { client, network } = openTab(t, address, { storage })
    t.notOk(await client.isSignedIn(), text)
    t.equal(await codeOf(client.request('GET /me')), 'signed_out')
    t.same(network.said, [], text)
  }
})

t.test('two services in one storage have pairs of their own', async t => {
  const first = await openSignedIn(t, service)
  const second = openTab(t, address, { storage: first.storage, name: 'other' })
  t.notOk(await second.client.isSignedIn())
  const { username } = await register(app)
  await second.client.signIn({ username, password })
  t.equal((await first.client.request('GET /me')).username, first.username)
  t.equal((await second.client.request('GET /me')).username, username)
})

t.test('a page of which localStorage was emptied tells its listeners', async t => {
  const { client, storage, events } = await openSignedIn(t, service)
  await storage.remove('signout:pair')
  t.notOk(await client.isSignedIn())
  t.same(events, [{ type: 'signed_out', reason: 'signed_out' }])
})

t.test('errors of the storage have its error as their cause', async t => {
  const { client, storage } = await openSignedIn(t, service, { storage: brittleStorage() })
  await client.signOut()
  ;(storage as ReturnType<typeof brittleStorage>).fails.add('get')
  const fresh = openTab(t, address, { storage })
  await fresh.client.request('GET /me').then(() => t.fail(), error => {
    t.match(error, { code: 'storage_failed', cause: { message: 'The storage cannot get.' } })
  })
})
