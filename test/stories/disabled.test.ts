import { EventEmitter, once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/config.ts'
import { buildUnready, embeddedEnv, serversEnv } from '../support/app.ts'
import { password, signUp, signUpAdmin } from '../support/people.ts'
import { outcome } from '../support/requests.ts'
import { signInWith } from './device.ts'

/** The service, and beside it a route that answers when the test says so. */
async function onEachStorageWithReport (
  t: Test, test: (t: Test, app: FastifyInstance, report: EventEmitter) => Promise<void>
): Promise<void> {
  for (const [name, env] of Object.entries({ embedded: embeddedEnv, 'Postgres and Redis': serversEnv })) {
    await t.test(name, async t => {
      const app = buildUnready(t, loadConfig(await env(t)))
      const report = new EventEmitter()
      app.after(() => {
        app.get('/report', { onRequest: app.authenticate }, async () => {
          const finished = once(report, 'finished')
          report.emit('begun')
          await finished
          return { report: 'Everything is well.' }
        })
      })
      await app.ready()
      await test(t, app, report)
    })
  }
}

t.test('a user who is disabled in the middle of a request finishes it, and is refused afterwards', t => onEachStorageWithReport(t, async (t, app, report) => {
  const { id, username } = await signUp(app)
  const laptop = await signInWith(app, 'laptop', username)
  const phone = await signInWith(app, 'phone', username)
  const admin = await signUpAdmin(app)
  const office = await signInWith(app, 'office', admin.username)

  const begun = once(report, 'begun')
  const underWay = laptop.send('GET /report')
  await begun
  t.equal(outcome(await office.send(`PUT /users/${id}/status`, { status: 'disabled' })), '200')
  report.emit('finished')

  t.equal(outcome(await underWay), '200', 'what was under way is finished')
  t.equal(await laptop.open('/me'), '401 token_revoked', 'and the next request is refused')
  t.equal(outcome(await laptop.send('GET /report')), '401 token_revoked')
  t.equal(await laptop.refresh(), '401 token_revoked')
  t.equal(await phone.open('/me'), '401 token_revoked', 'on the phone too')
  await t.rejects(signInWith(app, 'laptop', username, password), { message: /account_disabled/ })

  t.equal(outcome(await office.send(`PUT /users/${id}/status`, { status: 'active' })), '200', 'it was a mistake')
  t.equal(await (await signInWith(app, 'laptop', username)).open('/me'), '200', 'and the user may sign in again')
  t.equal(await laptop.open('/me'), '401 token_revoked', 'with a new session')
}))
