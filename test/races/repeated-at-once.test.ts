import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { openSession, password } from '../support/people.ts'
import { newPassword } from '../support/race-acts.ts'
import { askBoth, send, setStage, summarize } from '../support/stage.ts'

/** Requests that one session sends twice, with the same body. */
const acts: Record<string, (app: FastifyInstance, token: string) => Promise<LightMyRequestResponse>> = {
  'PUT /me/password': (app, token) =>
    send(app, 'PUT', '/me/password', token, { current_password: password, new_password: newPassword }),
  'DELETE /me': (app, token) => send(app, 'DELETE', '/me', token, { password })
}

for (const [name, act] of Object.entries(acts)) {
  t.test(`${name} twice at once is done once and answered 204 twice, at every step`, async t => {
    const stage = await setStage(t)
    for (let holdBefore = 0, isDone = false; !isDone; holdBefore++) {
      const { id, username } = await stage.addUser()
      const { access_token: token } = await openSession(stage.one, username)
      const { access_token: other } = await openSession(stage.two, username)
      const first = stage.stepper.start('first', () => act(stage.one, token), holdBefore)
      isDone = !await first.held
      const second = stage.stepper.start('second', () => act(stage.two, token))
      await second.settles()
      first.release()
      const place = `held before step ${holdBefore}, ${first.steps[holdBefore] ?? 'none'}`
      t.same([await first.answer, await second.answer].map(summarize), ['204', '204'], place)
      const events = await stage.ask(
        "select type from security_events where user_id = $1 and type in ('password_changed', 'account_deleted')", [id]
      )
      t.equal(events.length, 1, `${place}: it was done once`)
      t.equal(await askBoth(stage, other), '401 token_revoked', `${place}: the other session has ended`)
      t.equal(
        await askBoth(stage, token),
        name === 'DELETE /me' ? '401 token_revoked' : '200',
        `${place}: and this one only with the account`
      )
    }
  })
}
