import dns from 'node:dns'
import { once } from 'node:events'
import http, { type Server } from 'node:http'
import { connect } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import type { ArrivalBounds } from '../../../plugins/http/listener.ts'
import { buildApp } from '../../../src/app.ts'
import { loadConfig } from '../../../src/config.ts'
import { OutageError } from '../../../src/errors.ts'
import { buildWaitingApp } from '../../../src/app.ts'
import { serversEnv } from '../../support/app.ts'

type Listeners = Record<'the service' | 'METRICS_PORT' | 'the stand-in', string>

/**
 * Every kind of server that this process listens with: the service, METRICS_PORT, and the stand-in while Postgres is
 * down.
 */
async function openListeners (t: Test, arrival?: ArrivalBounds, host = '127.0.0.1'): Promise<Listeners> {
  const options = arrival === undefined ? {} : { arrival }
  const config = loadConfig({ ...await serversEnv(t), HOST: host, METRICS_PORT: '0' })
  const app = buildApp(config, false, options)
  const outage = new OutageError('database', 'Postgres is down.')
  const standIn = buildWaitingApp(config, Fastify().log, outage, options)
  t.teardown(() => Promise.all([app.close(), standIn.close()]))
  return {
    'the service': await app.listen({ port: 0, host }),
    METRICS_PORT: String(await app.listenForScrapes()),
    'the stand-in': await standIn.listen({ port: 0, host })
  }
}

/** Writes to a socket, and resolves with the whole answer once the server has ended the connection. */
function send (address: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    connect(Number(new URL(address).port), new URL(address).hostname)
      .on('data', data => { answer += data.toString() })
      .on('close', () => { resolve(answer) })
      .on('error', reject)
      .write(text)
  })
}

t.test('a request whose headers or body do not arrive within the bound is answered 408', async t => {
  const listeners = await openListeners(t, { withinMs: 200, checkEveryMs: 20 })
  const cases = Object.entries(listeners).flatMap(([name, address]) =>
    (
      [
        ['nothing', ''],
        ['half of the headers', 'GET /me HTTP/1.1\r\nHost: a\r\n'],
        [
          'half of the body',
          'POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{'
        ]
      ] as const
    ).map(([part, text]) => ({ name: `${name}: ${part}`, answer: send(address, text) }))
  )
  for (const { name, answer } of cases) {
    t.match(await answer, /HTTP\/1\.1 408 Request Timeout/, name)
    t.ok((await answer).endsWith('{"error":"invalid_request","description":"The request is malformed."}'), name)
  }
})

/** The servers that Fastify makes from now on, until the test ends. */
function watchServers (t: Test): Server[] {
  const servers: Server[] = []
  const { createServer } = http
  http.createServer = ((...args: Parameters<typeof createServer>) => {
    const server = createServer(...args)
    servers.push(server)
    return server
  }) as typeof createServer
  t.teardown(() => { http.createServer = createServer })
  return servers
}

t.test('a CONNECT is closed even if its client resets it or keeps it open, and the service continues', async t => {
  const servers = watchServers(t)
  await openListeners(t)
  await Promise.all(servers.filter(server => server.listening).map(async server => {
    const { port } = server.address() as { port: number }
    for (const end of ['at once', 'after the answer', 'never']) {
      const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {}).resume()
      const [[socket]] = await Promise.all([once(server, 'connection'), once(client, 'connect')])
      const closed = new Promise(resolve => { socket.on('close', resolve) })
      client.write('CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n')
      if (end === 'at once') setImmediate(() => { client.resetAndDestroy() })
      if (end === 'after the answer') client.once('data', () => { client.resetAndDestroy() })
      await closed
      client.destroy()
    }
    const answer = await fetch(`http://127.0.0.1:${port}/nowhere`)
    t.equal(answer.headers.get('x-content-type-options'), 'nosniff', 'it still answers')
  }))
})

function expectArrivalBounds (t: Test, servers: Server[]): void {
  const listening = servers.filter(server => server.listening)
  t.equal(listening.length, 3)
  for (const server of listening) {
    t.match(server, { headersTimeout: 30_000, requestTimeout: 30_000, connectionsCheckingInterval: 5_000 })
  }
}

async function expectJson (t: Test, listeners: Listeners): Promise<void> {
  for (const [name, address] of Object.entries(listeners)) {
    const expectation = await send(
      address, 'POST /login HTTP/1.1\r\nHost: a\r\nExpect: anything\r\nContent-Length: 2\r\n\r\n'
    )
    t.match(expectation, /^HTTP\/1\.1 417 Expectation Failed\r\n/, name)
    t.match(expectation, /\r\ncontent-type: application\/json; charset=utf-8\r\n/i, name)
    t.ok(
      expectation.endsWith(
        '\r\n\r\n{"error":"invalid_request","description":"The Expect header can only be 100-continue."}'
      ),
      name
    )
    for (const path of ['/health/live', '/metrics', '/nowhere']) {
      const answer = await send(address, `GET ${path} HTTP/1.1\r\nConnection: close\r\n\r\n`)
      t.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/, `${name} ${path}`)
      t.ok(
        answer.endsWith(
          '\r\n\r\n{"error":"invalid_request","description":"An HTTP/1.1 request must have one Host header."}'
        ),
        `${name} ${path}`
      )
    }
    const twoHosts = await send(address, 'GET /health/live HTTP/1.1\r\nHost: a\r\nhOST: a\r\nConnection: close\r\n\r\n')
    t.match(twoHosts, /^HTTP\/1\.1 400 .*"An HTTP\/1\.1 request must have one Host header\."/s, `${name}: two hosts`)
    t.match(
      await send(address, 'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n'),
      /^HTTP\/1\.1 400 Bad Request\r\n.*"error":"invalid_request"/s,
      `${name}: CONNECT`
    )
    t.match(
      await send(address, 'GET /nowhere HTTP/1.0\r\n\r\n'),
      /^HTTP\/1\.1 (404|503) .*"error":/s,
      `${name}: HTTP/1.0 needs none`
    )
    t.match(
      await send(
        address,
        'POST /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n'
      ),
      /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 (404|503) /,
      `${name}: 100-continue can be met`
    )
  }
}

async function expectProtectiveHeaders (t: Test, listeners: Listeners): Promise<void> {
  const { 'the service': service, METRICS_PORT: metrics, 'the stand-in': standIn } = listeners
  for (const address of Object.values(listeners)) {
    for (const text of [
      'nonsense', 'GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close', 'GET / HTTP/1.1\r\nConnection: close',
      'GET / HTTP/1.1\r\nHost: a\r\nExpect: x'
    ]) {
      const answer = await send(address, `${text}\r\n\r\n`)
      t.match(answer, /\r\nx-content-type-options: nosniff\r\n/i, `${address} ${text}`)
      t.match(answer, /\r\ncache-control: no-store\r\n/i, `${address} ${text}`)
    }
  }
  for (const [url, status, cacheControl] of [
    [`${service}/health/ready`, 200, /^no-store$/],
    [`${service}/me`, 401, /^no-store$/],
    [`${service}/nowhere`, 404, /^no-store$/],
    [`${service}/users/${'x'.repeat(300)}/sessions`, 400, /^no-store$/],
    [`${service}/docs/static/nothing`, 404, /^no-store$/],
    [`${metrics}/metrics`, 200, /^no-store$/],
    [`${metrics}/nowhere`, 404, /^no-store$/],
    [`${standIn}/health/live`, 200, /^no-store$/],
    [`${standIn}/me`, 503, /^no-store$/],
    [`${service}/.well-known/jwks.json`, 200, /^public, max-age=(300|2\d\d)$/],
    [`${service}/docs/static/swagger-ui.css`, 200, /^public, max-age=0$/]
  ] as const) {
    const { status: answered, headers } = await fetch(url)
    t.equal(answered, status, url)
    t.match(headers.get('cache-control'), cacheControl, url)
    t.equal(headers.get('x-content-type-options'), 'nosniff', url)
  }
}

t.test('all listeners keep the same bounds, forms of errors and protective headers', async t => {
  const servers = watchServers(t)
  const listeners = await openListeners(t)
  t.test('each listener gives a request 30 s to arrive, headers included, and checks every 5 s', async t => {
    expectArrivalBounds(t, servers)
  })
  t.test('an Expect that cannot be met, a missing Host and CONNECT are answered in JSON', t => expectJson(t, listeners))
  t.test('every answer forbids guessing its type, and storing it unless it is cacheable', t =>
    expectProtectiveHeaders(t, listeners)
  )
})

t.test('HOST=localhost has the same answers on each loopback address', async t => {
  const { lookup } = dns
  t.teardown(() => { dns.lookup = lookup })
  const addresses = ['127.0.0.1', '127.0.0.2'].map(address => ({ address, family: 4 }))
  dns.lookup = ((host: string, options: object, done: (error: null, found: object[]) => void) =>
    host === 'localhost' && 'all' in options
      ? done(null, addresses)
      : lookup(host, options, done as never)) as typeof lookup
  const listeners = await openListeners(t, undefined, 'localhost')
  const entries = Object.entries(listeners).map(([name, address]) => [name, address.replace('127.0.0.1', '127.0.0.2')])
  const others = Object.fromEntries(entries) as Listeners
  for (const [name, address] of Object.entries(others)) {
    t.match(await send(address, 'nonsense\r\n\r\n'), /^HTTP\/1\.1 400 .*"error":"invalid_request"/s, name)
    const upgrade = 'GET /nowhere HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade, close\r\n\r\n'
    t.match(await send(address, upgrade), /^HTTP\/1\.1 (404|503) /, `${name}: upgrade`)
  }
  await expectJson(t, others)
})
