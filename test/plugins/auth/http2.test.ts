import { once } from 'node:events'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import auth, { createMemoryBlocklist } from '../../../plugins/auth/auth.ts'

t.test('a token over HTTP/2 is accepted until it is revoked', async t => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  const jwt = { secret: 'a random secret of at least 32 bytes', sign: { expiresIn: '15m' } }
  await app.register(auth, { blocklist: createMemoryBlocklist(), jwt })
  app.get('/', { onRequest: app.authenticate }, async () => 'secret')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(() => { client.close() })
  const token = await app.issueToken({ sid: 'a' })
  async function ask (headers: Record<string, string>): Promise<unknown[]> {
    const stream = client.request({ ':path': '/', ...headers })
    stream.resume()
    const [answer] = await once(stream, 'response')
    return [answer[':status'], answer['www-authenticate']]
  }
  const authorization = `Bearer ${token}`
  t.match(await ask({}), [401, 'Bearer realm="signout"'])
  t.match(await ask({ authorization }), [200, undefined])
  await app.revoker.revoke([{ scope: 'session', id: 'a', expiresAt: Date.now() / 1000 + 900 }])
  t.match(await ask({ authorization }), [401, /error="invalid_token".*revoked/])
})
