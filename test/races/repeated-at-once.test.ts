import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { password, signIn } from '../support/people.ts'
import { outcome, send } from '../support/requests.ts'
import { newPassword } from './race-acts.ts'
import { askBoth, setStage } from './stage.ts'

/** Requests that one session sends twice, with the same body. */
const acts: Record<string, (app: FastifyInstance, token: string) => Promise<LightMyRequestResponse>> = {
  'PUT /me/password': (app, token) =>
    send(app, 'PUT /me/password', { token, body: { current_password: password, new_password: newPassword } }),
  'DELETE /me': (app, token) => send(app, 'DELETE /me', { token, body: { password } })
}

for (const [name, act] of Object.entries(acts)) {
  t.test(`${name} twice at once is done once and succeeds twice, at every step`, async t => {
    const stage = await setStage(t)
    for (let holdBefore = 0, isDone = false; !isDone; holdBefore++) {
      const { id, username } = await stage.addUser()
      const { access_token: token } = await signIn(stage.one, username)
      const { access_token: other } = await signIn(stage.two, username)
      const first = stage.stepper.start('first', () => act(stage.one, token), holdBefore)
      isDone = !await first.held
      const second = stage.stepper.start('second', () => act(stage.two, token))
      await second.settles()
      first.release()
      const place = `held before step ${holdBefore}, ${first.steps[holdBefore] ?? 'none'}`
      const status = name === 'DELETE /me' ? '204' : '200'
      t.same([await first.answer, await second.answer].map(outcome), [status, status], place)
      const events = await stage.ask(
        "select type from security_events where user_id = $1 and type in ('password_changed', 'account_deleted')", [id]
      )
      t.equal(events.length, 1, `${place}: it was done once`)
      t.equal(await askBoth(stage, other), '401 token_revoked', `${place}: the other session has ended`)
      t.equal(await askBoth(stage, token), '401 token_revoked', `${place}: and this one`)
    }
  })
}
