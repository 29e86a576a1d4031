import t from 'tap'
import { createClient, memoryStorage } from '../../client/index.ts'
import { password } from '../support/people.ts'
import { until } from '../support/wait.ts'
import { codeOf, readPair } from './setup.ts'

interface Sent { route: string, csrf: string | null, token: string | null, credentials: string, body: string }

/** A client in cookie mode, at a service that only notes what it gets. The test in a browser has real cookies. */
function openCookieClient (answers: Partial<Record<string, () => Response>> = {}) {
  const sent: Sent[] = []
  let number = 0
  const storage = memoryStorage()
  const client = createClient({
    baseUrl: 'http://auth.example.com',
    credentials: 'cookie',
    storage,
    retryWithinMs: 0,
    async fetch (input, init) {
      const request = new Request(input, init)
      const { headers, method, credentials } = request
      const route = `${method} ${new URL(request.url).pathname}`
      sent.push({
        route,
        csrf: headers.get('x-signout-csrf'),
        token: headers.get('authorization'),
        credentials,
        body: await request.text()
      })
      const answer = answers[route]
      if (answer !== undefined) return answer()
      // A refresh token that a mistaken service sends is not kept.
      return Response.json({ access_token: `access-${++number}`, expires_in: 900, refresh_token: 'a secret' })
    }
  })
  return { client, sent, storage, answers }
}

t.test('a cookie client sends the header and the cookie to the routes that need it, and no refresh token', async t => {
  const { client, sent, storage } = openCookieClient()
  await client.signIn({ username: 'ada', password })
  await client.request('GET /me')
  await client.reauthenticate(password)
  await storage.set('signout:pair', JSON.stringify({ ...await readPair(storage), expiresIn: 0 }))
  await client.request('GET /me')
  t.notMatch(await storage.get('signout:pair'), /secret/)
  await client.signOut()
  t.same(sent.map(({ route, csrf, credentials }) => `${route} ${csrf} ${credentials}`), [
    'POST /login 1 include', 'GET /me null omit', 'POST /reauthenticate 1 include', 'POST /refresh 1 include',
    'GET /me null omit', 'POST /logout 1 include'
  ])
  t.notMatch(JSON.stringify(sent), /secret|refresh_token/)
})

t.test('a cookie client continues the session of the cookie after a reload, and knows a 401 as signed out', async t => {
  const { client, sent } = openCookieClient()
  t.ok(await client.isSignedIn())
  await client.request('GET /me')
  t.same(sent.map(({ route, token }) => `${route} ${token}`), ['POST /refresh null', 'GET /me Bearer access-1'])
  const refused = () => Response.json({ error: 'authorization_required', description: '' }, { status: 401 })
  const other = openCookieClient({ 'POST /refresh': refused })
  t.notOk(await other.client.isSignedIn())
  t.equal(await codeOf(other.client.request('GET /me')), 'signed_out')
  t.equal(other.sent.length, 1, 'the cookie is tried once')
  const down = openCookieClient({ 'POST /refresh': () => new Response('', { status: 503 }) })
  t.equal(await codeOf(down.client.isSignedIn()), 'unexpected_answer', 'it is not known who is signed in')
})

t.test('a session that was left without a network is ended without the cookie after the next sign-in', async t => {
  const lost = () => { throw new TypeError('fetch failed') }
  const { client, sent, answers } = openCookieClient({ 'POST /logout': lost })
  await client.signIn({ username: 'ada', password })
  t.same(await client.signOut(), { server: 'pending' })
  await client.signIn({ username: 'grace', password })
  sent.length = 0
  delete answers['POST /logout']
  await until('the session is ended', () => sent.length > 0)
  t.match(sent, [{ route: 'POST /logout', csrf: null, credentials: 'omit', token: 'Bearer access-1', body: '{}' }])
  client.close()
})

t.test('a sign-in waits for a logout that is under way, whose answer would delete the new cookie', async t => {
  const { client, sent, answers } = openCookieClient()
  await client.signIn({ username: 'ada', password })
  sent.length = 0
  let answer = (_: Response) => {}
  answers['POST /logout'] = () => new Promise<Response>(resolve => { answer = resolve }) as never
  const leaving = client.signOut()
  await until('the logout is sent', () => sent.length === 1)
  const entering = client.signIn({ username: 'ada', password })
  await new Promise(resolve => setTimeout(resolve, 20))
  t.equal(sent.length, 1)
  answer(Response.json({ message: 'Successfully logged out' }))
  t.same(await leaving, { server: 'ended' })
  await entering
  t.same(sent.map(({ route }) => route), ['POST /logout', 'POST /login'])
})
