import pg from 'pg'
import t from 'tap'
import { serversEnv, type Env } from '../support/app.ts'
import { quickHasher } from '../support/hasher.ts'
import { inForm } from '../support/form.ts'
import { password, signInAt } from '../support/people.ts'
import { fetchFrom } from '../support/requests.ts'
import { startServer } from '../support/server-process.ts'

const rounds = inForm({ short: 80, long: 400 })
const usersAtOnce = 8
const revoked = { error: 'token_revoked', description: 'The token has been revoked.' }

t.test('a logout counts on both of two replicas with one Redis and one Postgres (P1)', async t => {
  const env = { ...await serversEnv(t), LOG_LEVEL: 'info' }
  const [{ address: a }, { address: b }] = await Promise.all([startServer(t, env), startServer(t, env)])

  await t.test('a token from replica A works on B, and A refuses it at once after its logout on B (P1)', async t => {
    t.equal((await fetchFrom(a, 'POST /register', { body: { username: 'ada', password } })).status, 201)
    const { access_token: token } = await signInAt(a, 'ada')
    t.equal((await fetchFrom(b, 'GET /me', { token })).status, 200)
    t.equal((await fetchFrom(b, 'POST /logout', { token })).status, 200)
    const refused = await fetchFrom(a, 'GET /me', { token })
    t.equal(refused.status, 401)
    t.same(await refused.json(), revoked)
    t.equal((await fetchFrom(b, 'GET /me', { token })).status, 401)
    t.equal((await fetchFrom(a, 'POST /logout', { token })).status, 401)
  })

  await t.test(`no token is accepted after its logout, in ${rounds} rounds of login and logout on two replicas (P1)`, async t => {
    const accepted: string[] = []
    const unexpected: string[] = []
    let asked = 0

    async function round (number: number, username: string): Promise<void> {
      const [here, there] = number % 2 === 0 ? [a, b] : [b, a]
      const { access_token: token } = await signInAt(here, username)
      // The other replica has seen the token, and has it in its memory of verified tokens.
      const before = await fetchFrom(there, 'GET /token', { token })
      if (before.status !== 200) unexpected.push(`${before.status} before the logout`)
      const logout = await fetchFrom(here, 'POST /logout', { token })
      if (logout.status !== 200) unexpected.push(`${logout.status} for the logout`)
      const after = await Promise.all([there, here, there].map(address => fetchFrom(address, 'GET /token', { token })))
      asked += after.length
      for (const { status } of after) {
        if (status === 200) accepted.push(`round ${number}`)
        else if (status !== 401) unexpected.push(`${status} after the logout`)
      }
    }

    const database = new pg.Client({ connectionString: String((env as Env)['DATABASE_URL']) })
    await database.connect()
    t.teardown(() => database.end())
    // Quick to verify. At the cost of the service, the hashes would take most of the time of the test.
    const passwordHash = await quickHasher.hash(password, 'here')
    await Promise.all(Array.from({ length: usersAtOnce }, async (_, user) => {
      const username = `user-${user}`
      await fetchFrom(a, 'POST /register', { body: { username, password } })
      await database.query('update users set password_hash = $1 where username = $2', [passwordHash, username])
      for (let number = user; number < rounds; number += usersAtOnce) await round(number, username)
    }))
    t.same(accepted, [], 'no revoked token was accepted')
    t.same(unexpected, [], 'and nothing else went wrong')
    t.equal(asked, 3 * rounds)
  })
})
