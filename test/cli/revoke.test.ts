import t, { type Test } from 'tap'
import { serversEnv } from '../support/app.ts'
import { succeed } from '../support/cli.ts'
import { password, signInAt, type Pair } from '../support/people.ts'
import { fetchFrom } from '../support/requests.ts'
import { startServer } from '../support/server-process.ts'
import { claimsOf, sessionIdOf } from '../support/sessions.ts'

/** A replica, and people who are signed in there. */
async function startReplica (t: Test) {
  const env = await serversEnv(t)
  const { address } = await startServer(t, env)
  return {
    env,
    register: async (username: string) => {
      const answer = await fetchFrom(address, 'POST /register', { body: { username, password } })
      return (await answer.json() as { id: string }).id
    },
    signIn: (username: string) => signInAt(address, username),
    refreshStatus: async ({ refresh_token: token }: Pair) =>
      (await fetchFrom(address, 'POST /refresh', { body: { refresh_token: token } })).status,
    /** Sends a request with the token to the replica. Returns `accepted`, or the code of the error. */
    check: async ({ access_token: token }: Pair) => {
      const answer = await fetchFrom(address, 'GET /me', { token })
      return answer.status === 200 ? 'accepted' : (await answer.json() as { error: string }).error
    }
  }
}

const jtiOf = (pair: Pair) => claimsOf(pair).jti

t.test('a running replica refuses tokens at once after their revocation by command (P1, P5)', async t => {
  const { env, register, signIn, check, refreshStatus } = await startReplica(t)
  const id = await register('ada')
  const revoke = (...args: string[]) => succeed(t, ['revoke', ...args], { env })

  await t.test('revoke --session ends that session with its refresh token, and no other session', async t => {
    const [one, other] = [await signIn('ada'), await signIn('ada')]
    t.equal(await check(one), 'accepted')
    t.equal(await revoke('--session', sessionIdOf(one).toUpperCase()), `Ended the session ${sessionIdOf(one)}.\n`)
    t.same([await check(one), await refreshStatus(one), await check(other)], ['token_revoked', 401, 'accepted'])
    t.equal(
      await revoke('--session', sessionIdOf(one)),
      `The session ${sessionIdOf(one)} has ended already. What had ended before was revoked again.\n`
    )
  })

  await t.test('revoke --token revokes that token alone, by the token itself or by its jti', async t => {
    for (const name of [(pair: Pair) => pair.access_token, jtiOf]) {
      const pair = await signIn('ada')
      t.equal(await check(pair), 'accepted')
      t.equal(await revoke('--token', name(pair)), `Revoked the token ${jtiOf(pair)}. Its session goes on.\n`)
      t.same([await check(pair), await refreshStatus(pair)], ['token_revoked', 200])
    }
  })

  await t.test('revoke --user ends all sessions of a user', async t => {
    for (const user of ['ADA', id.toUpperCase()]) {
      const pairs = [await signIn('ada'), await signIn('ada')]
      const lines = await revoke('--user', user)
      for (const pair of pairs) {
        t.match(lines, `Ended the session ${sessionIdOf(pair)}.\n`)
        t.equal(await check(pair), 'token_revoked')
      }
    }
    t.equal(
      await revoke('--user', 'ada'),
      `ada (${id}) has no session left to end. What had ended before was revoked again.\n`
    )
  })
})

t.test('revoke --dry-run names the sessions and tokens that would end, and ends nothing', async t => {
  const { env, register, signIn, check, refreshStatus } = await startReplica(t)
  const id = await register('ada')
  const pair = await signIn('ada')
  const preview = (...args: string[]) => succeed(t, ['revoke', '--dry-run', ...args], { env })
  await Promise.all(
    [
      ['--user', 'ada'], ['--session', sessionIdOf(pair)]
    ].map(async args => { t.equal(await preview(...args), `Would end the session ${sessionIdOf(pair)}.\n`) })
  )
  await Promise.all(
    [pair.access_token, jtiOf(pair)].map(async token => {
      t.equal(await preview('--token', token), `Would revoke the token ${jtiOf(pair)}. Its session would go on.\n`)
    })
  )
  t.same([await check(pair), await refreshStatus(pair)], ['accepted', 200])
  await succeed(t, ['revoke', '--user', id], { env })
  t.equal(await preview('--user', 'ada'), `ada (${id}) has no session left to end.\n`)
})
