import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { loadConfig } from '../../../src/config.ts'
import { buildUnready, serversEnv } from '../../support/app.ts'
import { get, send } from '../../support/requests.ts'

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
const description = 'This address has other methods. Allow lists them.'
const refusalAt = (path: string) => path.startsWith('/oauth/')
  ? { error: 'invalid_request', error_description: description }
  : { error: 'method_not_allowed', description }

/** The app, and the methods of each of its paths, by the routes that it registers. */
async function appWithPaths (t: Parameters<typeof buildUnready>[0]) {
  const app: FastifyInstance = buildUnready(t, loadConfig({ ...await serversEnv(t), METRICS_TOKEN: 'x'.repeat(16) }))
  const paths = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    // A route for HEAD belongs to one for GET, which Fastify does not always announce.
    const further = method === 'HEAD' ? ['GET'] : []
    paths.set(url, new Set([...paths.get(url) ?? [], ...[method].flat(), ...further]))
  })
  await app.ready()
  return { app, paths }
}

t.test('a wrong method is 405 with Allow on every path, and OPTIONS is 204 with Allow', async t => {
  const { app, paths } = await appWithPaths(t)
  t.ok(paths.size > 25, `${paths.size} paths`)
  for (const [path, allowed] of paths) {
    // It accepts every method. A proxy takes a good answer to OPTIONS for a token that is accepted.
    if (path.startsWith('/verify')) {
      t.equal((await send(app, `OPTIONS ${path}`)).statusCode, 401, path)
      continue
    }
    const url = path.replace(/:[^/]+/g, crypto.randomUUID()).replace('*', 'a/b.css')
    const allow = [...[...allowed].sort(), 'OPTIONS'].join(', ')
    for (const method of methods.filter(method => !allowed.has(method))) {
      const answer = await send(app, `${method} ${url}?a=b`)
      t.equal(answer.statusCode, 405, `${method} ${path}`)
      t.equal(answer.headers.allow, allow, `${method} ${path}`)
      if (method !== 'HEAD') t.same(answer.json(), refusalAt(path), `${method} ${path}`)
    }
    const options = await send(app, `OPTIONS ${url}`)
    t.equal(options.statusCode, 204, path)
    t.equal(options.headers.allow, allow, path)
    t.equal(options.body, '', path)
  }
})

t.test('Allow lists the methods of all routes at a path', async t => {
  const { app } = await appWithPaths(t)
  const allowOf = async (url: string) => (await send(app, `PATCH ${url}`)).headers.allow
  t.equal(await allowOf('/me'), 'DELETE, GET, HEAD, OPTIONS')
  t.equal(await allowOf('/me/sessions/1'), 'DELETE, OPTIONS')
  t.equal(await allowOf('/login'), 'POST, OPTIONS')
  t.equal(await allowOf('/%6Dogin'), undefined)
  t.equal(await allowOf('/%6Cogin'), 'POST, OPTIONS', 'an encoded letter is that letter')
  t.equal(await allowOf(`/users/${'a'.repeat(300)}`), 'DELETE, GET, HEAD, OPTIONS')
})

t.test('a wrong method is 405 whatever the body is, and an unknown path is 404', async t => {
  const { app } = await appWithPaths(t)
  for (const [type, body] of [
    ['application/json', '{'], ['text/plain', 'text'], ['application/json', ''], ['application/json', '{"a":1}']
  ] as const) {
    const sent = { body, headers: { 'content-type': type } }
    t.equal((await send(app, 'PUT /login', sent)).statusCode, 405, `${type} ${body}`)
    t.equal((await send(app, 'PUT /nowhere', sent)).statusCode, 404, `${type} ${body}`)
  }
})

t.test('HEAD is answered as GET is, without a body', async t => {
  const { app } = await appWithPaths(t)
  for (const path of ['/health/live', '/health/ready', '/.well-known/jwks.json', '/openapi.json', '/me']) {
    const [head, whole] = [await send(app, `HEAD ${path}`), await get(app, path)]
    t.equal(head.statusCode, whole.statusCode, path)
    t.equal(head.headers['content-type'], whole.headers['content-type'], path)
    t.equal(head.body, '', path)
  }
})
