import t from 'tap'
import { build, serversEnv } from '../support/app.ts'
import { signUp } from '../support/people.ts'
import { isAccepted } from '../support/sessions.ts'
import { typeAnswers } from '../support/terminal.ts'

t.test('revoke --everyone asks on a terminal, and anything but yes does nothing', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { pair } = await signUp(app)
  const question = 'End all sessions of all users? Type yes to go on: '
  const revoke = (answer: string) =>
    typeAnswers(t, 'revoke --everyone --reason "A drill"', env, [[question, answer]])
  for (const answer of ['y\r', '\u0004', '\u0003']) {
    const { code, output } = await revoke(answer)
    t.equal(code, 1, JSON.stringify(answer))
    t.match(output, /signout: Nothing was done\.\n$/)
    t.ok(await isAccepted(app, pair), 'and the token is accepted')
  }
  const { code, output } = await revoke('Yes\r')
  t.equal(code, 0)
  t.match(output, /Ended every session: 1 of 1 users?\.\n$/)
  t.notOk(await isAccepted(app, pair))
})
