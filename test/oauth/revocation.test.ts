import t from 'tap'
import { shareStorages } from '../support/app.ts'
import { query } from '../support/database.ts'
import { addClient, introspect, postForm, type Form } from '../support/oauth.ts'
import { signUp, type Pair } from '../support/people.ts'
import { expectError, outcome, refresh } from '../support/requests.ts'
import { expire, isAccepted, sessionIdOf, signInAndRefresh } from '../support/sessions.ts'

const onStorages = shareStorages(t)
const own = { client_id: 'signout' }

t.test('POST /oauth/revoke ends the session of an access token or a refresh token (P1, P5)', t =>
  onStorages(t, async (t, app) => {
    for (const kind of ['access_token', 'refresh_token'] as const) {
      for (const hint of ['access_token', 'refresh_token', undefined]) {
        const { pair } = await signUp(app)
        const form: Form = { token: pair[kind], ...own, ...hint !== undefined && { token_type_hint: hint } }
        const answer = await postForm(app, 'revoke', form)
        t.equal(answer.statusCode, 200)
        t.equal(answer.body, '')
        t.equal(answer.headers['cache-control'], 'no-store')
        t.notOk(await isAccepted(app, pair), `${kind} as ${hint}`)
        t.equal(outcome(await refresh(app, pair.refresh_token)), '401 token_revoked')
        t.equal((await postForm(app, 'revoke', form)).statusCode, 200, 'a repetition')
      }
    }
  }))

t.test('an expired access token still ends its own session', t => onStorages(t, async (t, app) => {
  const { pair } = await signUp(app)
  t.equal((await postForm(app, 'revoke', { token: await expire(app, pair), ...own })).statusCode, 200)
  t.notOk(await isAccepted(app, pair))
}))

t.test('a stolen refresh token that is revoked ends the session, as its reuse does', t =>
  onStorages(t, async (t, app) => {
    const { username } = await signUp(app)
    const [spent, , newest] = await signInAndRefresh(app, username, 2) as [Pair, Pair, Pair]
    t.equal((await postForm(app, 'revoke', { token: spent.refresh_token, ...own })).statusCode, 200)
    t.notOk(await isAccepted(app, newest))
  }))

t.test('a text that is no token of this service gets 200', t => onStorages(t, async (t, app) => {
  for (const token of ['x', 'a.b.c', 'a'.repeat(42) + 'A', '🐎', 'x'.repeat(60_000)]) {
    t.equal((await postForm(app, 'revoke', { token, ...own })).statusCode, 200, token.slice(0, 50))
  }
  const client = await addClient(app)
  t.equal((await postForm(app, 'revoke', { token: 'x' }, client)).statusCode, 200)
}))

t.test('a registered client revokes only if it was created with --may-revoke', t => onStorages(t, async (t, app) => {
  const [plain, privileged] = [await addClient(app), await addClient(app, { mayRevoke: true })]
  for (const kind of ['access_token', 'refresh_token'] as const) {
    const { pair } = await signUp(app)
    expectError(t, await postForm(app, 'revoke', { token: pair[kind] }, plain), 400, 'unauthorized_client')
    t.ok(await isAccepted(app, pair))
    t.equal((await postForm(app, 'revoke', { token: pair[kind] }, privileged)).statusCode, 200)
    t.notOk(await isAccepted(app, pair))
    t.same((await introspect(app, plain, pair[kind])).json(), { active: false })
    const events = await query(app, `select type, details from security_events
      where session_id = '${sessionIdOf(pair)}' and type = 'logout'`)
    t.same(events, [{ type: 'logout', details: { scope: 'session', sessions: 1, client: privileged.id } }])
  }
}))

t.test('POST /oauth/revoke needs a client', t => onStorages(t, async (t, app) => {
  const { pair } = await signUp(app)
  expectError(t, await postForm(app, 'revoke', { token: pair.access_token }), 401, 'invalid_client')
  expectError(t, await postForm(app, 'revoke', { token: pair.access_token, client_id: 'x' }), 401, 'invalid_client')
  t.ok(await isAccepted(app, pair))
}))
