import t from 'tap'
import { signIn } from '../support/people.ts'
import { refresh } from '../support/requests.ts'
import { setStage } from './stage.ts'

t.test('the stepper holds a request before the given step, and a request that needs its locks waits', async t => {
  const { one, two, stepper, addUser, ask } = await setStage(t)
  const { username } = await addUser()
  const pair = await signIn(one, username)
  const first = stepper.start('first', () => refresh(one, pair.refresh_token), 9)
  t.ok(await first.held, 'it is held')
  t.equal(first.steps.at(-1), 'commit', 'before that step')
  t.same(await ask('select * from spent_refresh_tokens'), [], 'nothing is committed')
  const second = stepper.start('second', () => refresh(two, pair.refresh_token))
  t.notOk(await second.settles(), 'the other one waits')
  t.equal(second.steps.at(-1), 'select sessions for update', 'for a lock')
  first.release()
  t.equal((await first.answer).statusCode, 200)
  t.ok(await second.settles(), 'until it is released')
  t.equal((await second.answer).statusCode, 200)
  const commits = stepper.takeMoments().filter(({ step }) => step === 'commit')
  t.same(commits.map(({ flow }) => flow), ['first', 'second'])
})

t.test('the stepper never holds a request that has fewer steps', async t => {
  const { one, stepper, addUser } = await setStage(t)
  const { username } = await addUser()
  const flow = stepper.start('login', () => signIn(one, username), 100)
  t.notOk(await flow.held)
  t.same(flow.steps, [
    'select users', 'begin', 'lock', 'select users for no key update', 'clock', 'insert sessions', 'select sessions',
    'insert security_events', 'commit', 'sign', 'select signing_keys'
  ])
})
