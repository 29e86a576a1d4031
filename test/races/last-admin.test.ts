import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { inForm } from '../support/form.ts'
import { password, signIn } from '../support/people.ts'
import { outcome, send } from '../support/requests.ts'
import { askBoth, setStage, type Stage } from './stage.ts'

interface Admin {
  id: string
  token: string
}

type RaceAct = (app: FastifyInstance, me: Admin, other: Admin) => Promise<LightMyRequestResponse>

/** Acts that leave one of two administrators, or no administrator if both do it. */
const acts: Record<string, RaceAct> = {
  'demotes the other': (app, me, other) =>
    send(app, `PUT /users/${other.id}/role`, { token: me.token, body: { role: 'user' } }),
  'disables the other': (app, me, other) =>
    send(app, `PUT /users/${other.id}/status`, { token: me.token, body: { status: 'disabled' } }),
  'deletes the other': (app, me, other) => send(app, `DELETE /users/${other.id}`, { token: me.token }),
  resigns: (app, me) => send(app, `PUT /users/${me.id}/role`, { token: me.token, body: { role: 'user' } }),
  'deletes the own account': (app, me) => send(app, 'DELETE /me', { token: me.token, body: { password } })
}

/** The answers that may come. A repeated deletion succeeds, and an ended session has no valid token. */
const expected = ['200', '204', '401 token_revoked', '404 not_found', '409 last_admin']

/** In the long form an act is held before each of its steps. In the short form before every third one. */
const stride = inForm({ short: 3, long: 1 })

async function addAdmins (stage: Stage): Promise<[Admin, Admin]> {
  await stage.ask('delete from users')
  const admins = await Promise.all([stage.one, stage.two].map(async app => {
    const { id, username } = await stage.addUser('admin')
    return { id, token: (await signIn(app, username)).access_token }
  }))
  return admins as [Admin, Admin]
}

async function findFaults (stage: Stage, admins: Admin[], answers: LightMyRequestResponse[]): Promise<string[]> {
  const summaries = answers.map(outcome)
  const faults = summaries.filter(summary => !expected.includes(summary))
  if (!summaries.some(summary => /^20/.test(summary))) faults.push(`neither was done: ${summaries.join(' and ')}`)
  const left = (await stage.ask("select id from users where role = 'admin' and status = 'active'")).map(({ id }) => id)
  if (left.length !== 1) faults.push(`${left.length} administrators are left`)
  for (const { id, token } of admins) {
    const asked = await askBoth(stage, token)
    if (asked !== (left.includes(id) ? '200' : '401 token_revoked')) {
      faults.push(`the token of one that is ${left.includes(id) ? '' : 'not '}left got ${asked}`)
    }
  }
  return faults
}

t.test('one of two administrators is left after any two acts at once', async t => {
  const stage = await setStage(t)
  for (const [heldIndex, [heldName, held]] of Object.entries(acts).entries()) {
    for (const [freeIndex, [freeName, free]] of Object.entries(acts).entries()) {
      const problems: string[] = []
      const firstStep = (heldIndex + freeIndex) % stride
      for (let holdBefore = firstStep, isDone = false; !isDone; holdBefore += stride) {
        const [me, other] = await addAdmins(stage)
        const first = stage.stepper.start('first', () => held(stage.one, me, other), holdBefore)
        isDone = !await first.held
        const second = stage.stepper.start('second', () => free(stage.two, other, me))
        await second.settles()
        first.release()
        const faults = await findFaults(stage, [me, other], [await first.answer, await second.answer])
        problems.push(
          ...faults.map(fault => `held before step ${holdBefore}, ${first.steps[holdBefore] ?? 'none'}: ${fault}`)
        )
      }
      t.same(problems, [], `one ${heldName}, who ${freeName}`)
    }
  }
})
