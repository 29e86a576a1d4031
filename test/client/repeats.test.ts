import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createClient, memoryStorage, type Client, type ClientOptions, type SignoutError } from '../../client/index.ts'
import { delayMs } from '../../client/http/timing.ts'
import { timed } from '../support/wait.ts'
import { codeOf } from './setup.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const busy = (status: number, headers: Record<string, string> = {}): Answer => (_request, response) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify({ error: status === 429 ? 'too_many_requests' : 'service_unavailable', description: '' }))
}
const good: Answer = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{"username":"ada"}')
}
const breakOff: Answer = (_request, response) => { response.destroy() }

/** Starts a server that answers with these, one after another, and then always with the last one. */
async function startScripted (t: Test, answers: Answer[], options: Partial<ClientOptions> = {}) {
  const received: string[] = []
  const server = createServer((request, response) => {
    const answer = answers[Math.min(received.length, answers.length - 1)] as Answer
    received.push(`${request.method} ${request.url}`)
    answer(request, response)
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => new Promise(resolve => { server.close(resolve).closeAllConnections() }))
  const storage = memoryStorage()
  await storage.set('signout:pair', '{"session":"a","serial":1,"access":"b","refresh":"c","expiresIn":900}')
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = createClient({ baseUrl, storage, ...options })
  t.teardown(() => { client.close() })
  return { client, received, baseUrl }
}

t.test('503, 429, 502, 504 and a broken connection are repeated until the answer comes', async t => {
  const { client, received } = await startScripted(t, [
    breakOff, busy(502), busy(504, { 'retry-after': '0' }), busy(503, { 'retry-after': '0' }),
    busy(429, { 'retry-after': '0' }), good
  ])
  t.equal((await client.request('GET /me')).username, 'ada')
  t.equal(received.length, 6)
})

t.test('a request is repeated after Retry-After, and never before', async t => {
  const { client } = await startScripted(t, [busy(503, { 'retry-after': '1' }), good])
  const { value, elapsedMs } = await timed(() => client.request('GET /me'))
  t.equal(value?.username, 'ada')
  t.ok(elapsedMs >= 1_000, `${elapsedMs} ms`)
})

t.test('a date in Retry-After counts from the date of the answer, not from the clock of the device', async t => {
  const headers = { 'retry-after': 'Fri, 31 Dec 1999 23:59:59 GMT', date: 'Fri, 31 Dec 1999 23:59:58 GMT' }
  const { client } = await startScripted(t, [busy(503, headers), good], { retryWithinMs: 0 })
  await client.request('GET /me').then(() => t.fail(), ({ retryAfterSeconds }: SignoutError) => {
    t.equal(retryAfterSeconds, 1)
  })
})

t.test('waits are jittered: at least what was asked for, and up to half as long again', async t => {
  const waits = Array.from({ length: 200 }, () => delayMs(2, 0))
  t.ok(waits.every(ms => ms >= 2_000 && ms <= 3_000))
  t.ok(Math.max(...waits) - Math.min(...waits) > 500)
  t.ok(delayMs(undefined, 30) <= 45_000, 'without Retry-After they become longer, up to a bound')
})

t.test('a wait that would pass the bound of the caller is not begun', async t => {
  const { client, received } = await startScripted(t, [busy(429, { 'retry-after': '60' })], { retryWithinMs: 2_000 })
  const { error, elapsedMs } = await timed(() => client.request('GET /me'))
  t.match(error, { code: 'too_many_requests', status: 429, retryAfterSeconds: 60 })
  t.ok(elapsedMs < 30_000)
  t.equal(received.length, 1)
})

t.test('an AbortSignal ends the waiting with the reason of the caller as the cause', async t => {
  const { client, received } = await startScripted(
    t, [busy(503, { 'retry-after': '50' })], { retryWithinMs: 600_000 }
  )
  const controller = new AbortController()
  const reason = new Error('The user left the page.')
  setTimeout(() => { controller.abort(reason) }, 100)
  const { error, elapsedMs } = await timed(() => client.request('GET /me', { signal: controller.signal }))
  t.ok(elapsedMs < 40_000, 'it does not wait to the end')
  t.match(error, { code: 'aborted', cause: reason })
  t.equal(received.length, 1)
  t.equal(await codeOf(client.request('GET /me', { signal: controller.signal })), 'aborted')
  t.equal(received.length, 1, 'nothing is sent for a signal that is aborted already')
})

t.test('only what is safe to repeat is repeated', async t => {
  const calls: Record<string, [boolean, (client: Client, baseUrl: string) => Promise<unknown>]> = {
    'POST /login': [false, client => client.signIn({ username: 'ada', password: 'x' })],
    'POST /register': [false, client => client.request('POST /register', { body: { username: 'ada', password: 'x' } })],
    'POST /keys/rotate': [false, client => client.request('POST /keys/rotate')],
    'POST of an own API': [false, (client, url) => client.fetch(`${url}/orders`, { method: 'POST', body: '{}' })],
    'PUT of an own API': [true, (client, url) => client.fetch(`${url}/orders/1`, { method: 'PUT', body: '{}' })],
    'POST /logout': [true, client => client.signOutEverywhere()],
    'POST /reauthenticate': [true, client => client.reauthenticate('x')],
    'DELETE /me/sessions': [true, client => client.request('DELETE /me/sessions/{id}', { path: { id: 'a' } })]
  }
  for (const [name, [isRepeated, call]] of Object.entries(calls)) {
    const { client, received, baseUrl } = await startScripted(
      t, [busy(503, { 'retry-after': '0' }), (_, response) => { response.writeHead(403).end('{}') }]
    )
    await call(client, baseUrl).catch(() => {})
    t.equal(received.length, isRepeated ? 2 : 1, name)
    const lost = await startScripted(t, [breakOff, (_, response) => { response.writeHead(403).end('{}') }])
    await call(lost.client, lost.baseUrl).catch(() => {})
    t.equal(lost.received.length, isRepeated ? 2 : 1, `${name}: no answer`)
  }
})

t.test('an answer that does not come, or not to its end, is a timeout', async t => {
  const mute: Answer = () => {}
  const half: Answer = (_request, response) => { response.writeHead(200, { 'content-length': '100' }).write('{') }
  for (const answer of [mute, half]) {
    const { client } = await startScripted(t, [answer], { timeoutMs: 100, retryWithinMs: 0 })
    t.equal(await codeOf(client.request('GET /me')), 'timeout')
  }
})

t.test('a 500 and a 4xx are shown at once, with the id of the request and the mistakes', async t => {
  const { client, received } = await startScripted(t, [(_request, response) => {
    response.writeHead(400, { 'x-request-id': 'some-id' }).end(JSON.stringify({
      error: 'invalid_request', description: 'It is wrong.', details: [{ path: '/username', message: 'must be short' }]
    }))
  }])
  const { error } = await timed(() => client.request('GET /me'))
  t.match(error, { code: 'invalid_request', status: 400, requestId: 'some-id', message: 'It is wrong.' })
  t.match(error, { details: [{ path: '/username' }] })
  t.equal(received.length, 1)
  const broken = await startScripted(t, [busy(500)])
  await codeOf(broken.client.request('GET /me'))
  t.equal(broken.received.length, 1)
})
