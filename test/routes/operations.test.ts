import { createPublicKey, verify } from 'node:crypto'
import { cp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { readOpenapi } from '../../scripts/openapi.ts'
import { loadConfig } from '../../src/config.ts'
import { OutageError } from '../../src/errors.ts'
import { buildWaitingApp } from '../../src/app.ts'
import { build, embeddedEnv, issuer, onEachStorage, serversEnv } from '../support/app.ts'
import { keepLog } from '../support/log.ts'
import { signUp } from '../support/people.ts'
import { get, send } from '../support/requests.ts'

t.test('GET /health/ready is 503 while database and blocklist are down, and GET /health/live stays 200', t => onEachStorage(t, async (t, app) => {
  for (const url of ['/health/live', '/health/ready']) {
    const answer = await get(app, url)
    t.equal(answer.statusCode, 200)
    t.same(answer.json(), { status: 'ok' })
  }
  await app.blocklist.close()
  await app.database.close()
  const ready = await get(app, '/health/ready')
  t.equal(ready.statusCode, 503)
  t.same(ready.json(), { error: 'service_unavailable', description: 'Not ready: database, blocklist.' })
  t.equal(ready.headers['retry-after'], '1')
  t.equal((await get(app, '/health/live')).statusCode, 200, 'the process lives on')
}))

t.test('GET /health/ready is 503 while the embedded folder is missing or replaced', async t => {
  const env = await embeddedEnv(t)
  const app = await build(t, env)
  const folder = String(env['DATA_DIR'])
  const aside = `${folder}-aside`
  t.teardown(() => rm(aside, { recursive: true, force: true }))
  const isReady = async () => {
    const { statusCode, body } = await get(app, '/health/ready')
    if (statusCode === 503) t.match(body, 'Not ready: database.')
    return statusCode === 200
  }
  t.equal(await isReady(), true)
  await rename(folder, aside)
  t.equal(await isReady(), false, 'it is gone')
  await cp(aside, folder, { recursive: true })
  t.equal(await isReady(), false, 'a copy is in its place, which nothing is written to')
  await rm(folder, { recursive: true })
  await rename(aside, folder)
  t.equal(await isReady(), true)
  await rename(join(folder, 'postgres'), aside)
  t.equal(await isReady(), false, 'the database in it is gone')
  await rename(aside, join(folder, 'postgres'))
})

t.test('GET /.well-known/jwks.json answers the public key', async t => {
  const app = await build(t, await serversEnv(t))
  const answer = await get(app, '/.well-known/jwks.json')
  t.equal(answer.statusCode, 200)
  t.match(answer.headers['cache-control'], /^public, max-age=(300|29\d)$/)
  const { keys } = answer.json()
  t.equal(keys.length, 2, 'the key that signs, and the next one')
  t.same(Object.keys(keys[0]).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x'], 'no private member')
  const { kid } = await app.keyRing.getSigningKey()
  t.match(keys[0], { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid })

  await t.test('another JOSE library verifies tokens of the service with the published key', async t => {
    const address = await app.listen({ port: 0 })
    const { id, token } = await signUp(app)
    const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(`${address}/.well-known/jwks.json`)), {
      issuer, audience: issuer, typ: 'at+jwt', algorithms: ['EdDSA']
    })
    t.equal(payload.sub, id)
  })
})

t.test('Node itself verifies tokens with the published key, without a JOSE library', async t => {
  const app = await build(t, await serversEnv(t))
  const { token } = await signUp(app)
  const [header = '', payload = '', signature = ''] = token.split('.')
  const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }
  const { keys } = (await get(app, '/.well-known/jwks.json')).json() as { keys: Array<Record<string, string>> }
  const key = createPublicKey({ key: keys.find(key => key['kid'] === kid) ?? {}, format: 'jwk' })
  const verifies = (text: string) => verify(null, Buffer.from(text), key, Buffer.from(signature, 'base64url'))
  t.equal(verifies(`${header}.${payload}`), true)
  t.equal(verifies(`${header}.${payload}x`), false)
})

t.test('GET /openapi.json and /openapi-3.0.json answer the documents that are committed', async t => {
  const app = await build(t, await serversEnv(t))
  for (const file of ['openapi.json', 'openapi-3.0.json'] as const) {
    const answer = await get(app, `/${file}`)
    t.equal(answer.statusCode, 200)
    t.match(answer.headers['content-type'], 'application/json')
    const { servers, ...document } = answer.json()
    const { servers: _, ...committed } = JSON.parse(readOpenapi(file))
    t.same(document, committed, file)
    t.equal(servers[0].url, file === 'openapi.json' ? '/' : issuer)
  }
})

t.test('GET /docs is a page that loads nothing from another host', async t => {
  const app = await build(t, await serversEnv(t))
  const page = await get(app, '/docs')
  t.equal(page.statusCode, 200)
  t.match(page.headers['content-type'], 'text/html')
  t.match(page.headers['content-security-policy'], "default-src 'self'")
  t.notMatch(page.headers['content-security-policy'], 'upgrade-insecure-requests')
  const assets = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(match => match[1] ?? '')
  t.ok(assets.length >= 3)
  for (const asset of assets) {
    const url = new URL(asset, 'http://here/docs/')
    t.equal(url.host, 'here', asset)
    t.equal((await get(app, url.pathname)).statusCode, 200, asset)
  }
})

t.test('the logged path has no token, in any place of the path', async t => {
  const log = keepLog()
  const env = await serversEnv(t)
  const app = await build(t, env, log.logger)
  const waiting = buildWaitingApp(loadConfig(env), app.log, new OutageError('database', 'down'))
  t.teardown(() => waiting.close())
  const { pair: { access_token: access, refresh_token: secret } } = await signUp(app)
  const id = crypto.randomUUID()
  const metricsToken = 'sixteen-letters!'
  const paths = [
    `/me/sessions/${secret}`, `/token/${access}`, `/${secret}/x`, `/logout;${secret}`, `/me/sessions/%20${secret}`,
    `/%zz${secret}`, `//${secret}`, `/token#access_token=${access}`, `/me?t=${secret}`, `/metrics/${metricsToken}`
  ]
  for (const url of paths) {
    for (const method of ['GET', 'DELETE'] as const) {
      await send(app, `${method} ${url}`)
      await send(waiting, `${method} ${url}`)
    }
  }
  t.same([access, secret, metricsToken, 'access_token='].filter(token => log.text().includes(token)), [])
  log.clear()
  for (const url of [
    `/users/${id}/sessions`, '/.well-known/jwks.json', '/me/security-events?limit=1', `/me/sessions/${secret}/x`, '/'
  ]) {
    await get(app, url)
  }
  const logged = log.lines().filter(({ msg }) => msg === 'Request').map(({ path }) => path)
  t.same(
    logged,
    [`/users/${id}/sessions`, '/.well-known/jwks.json', '/me/security-events', '/me/sessions/[hidden]/x', '/'],
    'and is told in full otherwise'
  )
})

t.test('TRUST_PROXY decides whose X-Forwarded-For is trusted', async t => {
  for (const [trusted, ip] of [
    ['', '127.0.0.1'], ['10.0.0.0/8', '127.0.0.1'], ['127.0.0.0/8', '203.0.113.7']
  ] as const) {
    const lines: string[] = []
    const app = await build(t, { ...await serversEnv(t), TRUST_PROXY: trusted }, {
      level: 'debug',
      stream: {
        write: line => { lines.push(line) }
      }
    })
    await send(app, 'GET /health/live?access_token=secret', { headers: { 'x-forwarded-for': '203.0.113.7' } })
    const request = lines.map(line => JSON.parse(line)).find(({ msg }) => msg === 'Request')
    t.equal(request.ip, ip, `TRUST_PROXY=${trusted}`)
    t.notMatch(lines.join(''), 'access_token', 'a query is not logged')
  }
})
