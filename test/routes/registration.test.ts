import t from 'tap'
import { build, serversEnv } from '../support/app.ts'
import { succeed } from '../support/cli.ts'
import { password, signIn } from '../support/people.ts'
import { onPostgres } from '../support/record.ts'
import { expectError, send } from '../support/requests.ts'

t.test('with REGISTRATION=closed POST /register is 403 before any work, and commands create accounts', async t => {
  const env = { ...await serversEnv(t), REGISTRATION: 'closed', LIMIT_REGISTER_BY_IP: '1/3600' }
  const app = await build(t, env)
  let hashed = 0
  t.teardown(() => { app.accounts.register = register })
  const { register } = app.accounts
  app.accounts.register = async (...args) => {
    hashed++
    return await register(...args)
  }
  for (const body of [{ username: 'ada', password }, { username: 'grace', password }, { nonsense: true }, undefined]) {
    const answer = await send(app, 'POST /register', { body })
    expectError(t, answer, 403, 'registration_closed', JSON.stringify(body))
    t.equal(answer.headers['www-authenticate'], undefined)
    t.equal(answer.headers['ratelimit'], undefined, 'nothing was counted')
  }
  t.equal(hashed, 0)
  t.same(await onPostgres(env, 'select from users'), [])
  await succeed(t, ['user', 'create', 'ada'], { env, input: password })
  t.ok(await signIn(app, 'ada'))
})
