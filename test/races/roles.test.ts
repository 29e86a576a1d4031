import t, { type Test } from 'tap'
import { inForm } from '../support/form.ts'
import { password, signIn, type Pair } from '../support/people.ts'
import { refresh, send } from '../support/requests.ts'
import { claimsOf } from '../support/sessions.ts'
import { askBoth, setStage, type Stage } from './stage.ts'

const stride = inForm({ short: 3, long: 1 })
const newPassword = 'another correct horse battery staple'
const contenders = {
  login: (stage, { username }) => send(stage.one, 'POST /login', { body: { username, password } }),
  refresh: (stage, { pair }) => refresh(stage.one, pair.refresh_token),
  reauthentication: (stage, { pair }) =>
    send(stage.one, 'POST /reauthenticate', { token: pair.access_token, body: { password } }),
  'change of the password': (stage, { pair }) => send(stage.one, 'PUT /me/password', {
    token: pair.access_token, body: { current_password: password, new_password: newPassword }
  })
} satisfies Record<string, (stage: Stage, scene: { username: string, pair: Pair }) => ReturnType<typeof send>>

/** Each change of a role, and the scopes that tokens may have once it is done. */
const changes = {
  set: { scope: 'new', act: (stage: Stage, role: string) => stage.two.roleAdministration.set(role, ['new']) },
  delete: { scope: 'user', act: (stage: Stage, role: string) => stage.two.roleAdministration.delete(role) }
}

for (const [name, contender] of Object.entries(contenders)) {
  t.test(`after a role has changed or gone, no token of a concurrent ${name} has the old scopes`, async t => {
    const stage = await setStage(t)
    for (const change of Object.values(changes)) {
      let wasHeld = true
      for (let holdBefore = 0; wasHeld; holdBefore += stride) {
        wasHeld = await testRace(t, stage, contender, change, holdBefore)
      }
    }
  })
}

/** Holds a request before one of its steps while a role changes. Returns false if the request had fewer steps. */
async function testRace (
  t: Test,
  stage: Stage,
  contender: typeof contenders.login,
  { act, scope }: typeof changes.set,
  holdBefore: number
): Promise<boolean> {
  const role = `role-${holdBefore}`
  await stage.two.roleAdministration.set(role, ['old'])
  const { id, username } = await stage.addUser()
  await stage.ask('update users set role = $1 where id = $2', [role, id])
  const pair = await signIn(stage.one, username)
  const held = stage.stepper.start('held', () => contender(stage, { username, pair }), holdBefore)
  const wasHeld = await held.held
  const free = stage.stepper.start('free', () => act(stage, role))
  const isDone = await free.settles()
  if (isDone) t.equal(await askBoth(stage, pair.access_token), '401 token_revoked', 'once it was answered')
  held.release()
  const [answer] = await Promise.all([held.answer, free.answer])
  for (const issued of [pair, ...answer.statusCode === 200 ? [answer.json() as Pair] : []]) {
    const { scope: claimed } = claimsOf(issued) as unknown as { scope: string }
    if (claimed !== 'old') t.equal(claimed, scope)
    else t.equal(await askBoth(stage, issued.access_token), '401 token_revoked', `held before step ${holdBefore}`)
  }
  await stage.ask('delete from roles where name = $1', [role])
  return wasHeld
}
