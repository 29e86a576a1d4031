import t from 'tap'
import { get, outcome } from '../../support/requests.ts'
import { nowSeconds } from '../../support/tokens.ts'
import { bareApp, sign } from './bare-app.ts'

const claims = (others: object) => ({ jti: 'token-1', exp: nowSeconds() + 60, ...others })

t.test('app.requireScope lets a token through that has every scope, in scope or in scp', async t => {
  const { app } = await bareApp(t)
  const hook = app.requireScope('read write')
  app.get('/alone', { onRequest: hook }, async () => 'in')
  app.get('/after', { onRequest: [app.authenticate, hook] }, async () => 'in')
  for (const path of ['/alone', '/after']) {
    for (const good of [
      { scope: 'read write' }, { scope: 'write other read' }, { scp: ['read', 'write'] }, { scp: 'read write' }
    ]) {
      t.equal(outcome(await get(app, path, sign(claims(good)))), '200', JSON.stringify(good))
    }
    for (const bad of [
      {}, { scope: '' }, { scope: 'read' }, { scope: 'read writer' }, { scope: 'readwrite' }, { scope: 7 },
      { scope: { read: true, write: true } }, { scope: 'read', scp: 'read write' }, { scp: [['read', 'write']] }
    ]) {
      const answer = await get(app, path, sign(claims(bad)))
      t.equal(answer.statusCode, 403, JSON.stringify(bad))
      t.equal(answer.json().code, 'forbidden')
      t.equal(
        answer.headers['www-authenticate'],
        'Bearer realm="signout", error="insufficient_scope", ' +
          'error_description="The token does not permit this request.", scope="read write"'
      )
    }
  }
})

t.test('app.requireScope lets nothing through that is not authenticated, and a revoked token gets 401', async t => {
  const { app } = await bareApp(t)
  app.get('/alone', { onRequest: app.requireScope('read') }, async () => 'in')
  t.equal((await get(app, '/alone')).statusCode, 401)
  t.equal((await get(app, '/alone', sign(claims({ scope: 'read' }), 'another secret'))).statusCode, 401)
  await app.revoker.revoke([{ scope: 'token', id: 'token-1', expiresAt: nowSeconds() + 60 }])
  for (const scope of ['read', 'other']) {
    t.equal((await get(app, '/alone', sign(claims({ scope })))).statusCode, 401, scope)
  }
})

t.test('app.requireScope refuses a text without scopes when the route is made', async t => {
  const { app } = await bareApp(t)
  for (const scope of [undefined, '', ' ', 'read ', 'read  write', 'a"b', 'a\nb', 'é', 7, ['read'], null]) {
    t.throws(() => app.requireScope(scope as never), { message: /^The scope is .* between two\.$/ }, String(scope))
  }
})
