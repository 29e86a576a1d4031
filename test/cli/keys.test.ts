import { decodeProtectedHeader } from 'jose'
import t from 'tap'
import { build, secret, serversEnv } from '../support/app.ts'
import { fail, signout, succeed } from '../support/cli.ts'
import { query } from '../support/database.ts'
import { letSpareAge } from '../support/keys.ts'
import { signIn, signUp, type Pair } from '../support/people.ts'
import { get, refresh } from '../support/requests.ts'
import { isAccepted } from '../support/sessions.ts'
import { until } from '../support/wait.ts'

interface ShownKey { kid: string, state: string, algorithm: string }

t.test('signing keys are listed, rotated and retired by command while the service runs (P1)', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { username, pair } = await signUp(app)
  const run = async (...args: string[]) =>
    JSON.parse(await succeed(t, ['keys', ...args, '--json'], { env })) as ShownKey[]
  const kidOf = (keys: ShownKey[], state: string) => keys.find(key => key.state === state)?.kid
  const before = await run('list')
  t.equal(kidOf(before, 'active'), decodeProtectedHeader(pair.access_token).kid)
  t.match(
    await succeed(t, ['keys', 'list'], { env }),
    /^KID +ALGORITHM +STATE +CREATED +SIGNS SINCE +VERIFIES UNTIL\n.{43} {2}EdDSA +(active|spare) /
  )
  t.match(await fail(t, 1, ['keys', 'rotate'], { env }), 'published too recently')
  await letSpareAge(app)
  const after = await run('rotate')
  t.equal(kidOf(after, 'active'), kidOf(before, 'spare'))
  t.ok(await isAccepted(app, pair))
  t.equal(decodeProtectedHeader((await signIn(app, username)).access_token).kid, kidOf(before, 'spare'))

  const old = String(kidOf(before, 'active'))
  t.match(await fail(t, 1, ['keys', 'retire', 'unknown'], { env }), /^There is no key unknown: signout keys list/)
  t.equal(kidOf(await run('retire', old, '--compromised'), 'compromised'), old)
  // `token_revoked`, or `invalid_token` once the service has read its keys.
  t.notOk(await isAccepted(app, pair))
  const next = (await refresh(app, pair.refresh_token)).json() as Pair
  t.ok(await isAccepted(app, next), 'the client refreshes')
})

t.test('a change of the secret is ended by command', async t => {
  const env = await serversEnv(t)
  const { pair } = await signUp(await build(t, env))
  const next = 'the next secret, of more than 32 bytes'
  const changing = { ...env, KEY_ENCRYPTION_SECRET: next, KEY_ENCRYPTION_SECRET_PREVIOUS: secret }
  t.equal(
    await succeed(t, ['keys', 'reencrypt'], { env: changing }),
    'The keys are encrypted under KEY_ENCRYPTION_SECRET alone. Remove KEY_ENCRYPTION_SECRET_PREVIOUS.\n'
  )
  t.match(await fail(t, 1, ['keys', 'list'], { env }), /^KEY_ENCRYPTION_SECRET does not open the keys/)
  const app = await build(t, { ...env, KEY_ENCRYPTION_SECRET: next })
  t.ok(await isAccepted(app, pair))
  t.same((await query(app, "select details from security_events where type = 'keys_reencrypted'")), [
    { details: { by: 'operator' } }
  ])
})

t.test('a compromised key that is retired while Redis is down exits with 3, and is refused when it is back', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { pair } = await signUp(app)
  const kid = String(decodeProtectedHeader(pair.access_token).kid)
  const { code, stderr } = await signout(t, ['keys', 'retire', kid, '--compromised'], {
    env: { ...env, REDIS_URL: 'redis://127.0.0.1:1' }
  })
  t.equal(code, 3)
  t.match(stderr, /^signout: The revocation is recorded, and takes effect automatically when Redis returns\./)
  await until('it is in effect', async () => (await get(app, '/token', pair.access_token)).statusCode === 401)
})

t.test('revoke --everyone ends all sessions, and says how many (P1)', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const [one, other] = [await signUp(app), await signUp(app)]
  await signIn(app, one.username)
  const args = ['revoke', '--everyone', '--reason', 'A test of an incident']
  t.equal(await succeed(t, [...args, '--dry-run'], { env }), 'Would end every session: 3 of 2 users.\n')
  t.ok(await isAccepted(app, one.pair))
  t.equal(await succeed(t, [...args, '--yes'], { env }), 'Ended every session: 3 of 2 users.\n')
  for (const { pair } of [one, other]) t.notOk(await isAccepted(app, pair))
  const refused = await fail(t, 1, ['revoke', '--everyone', '--reason', ' ', '--yes'], { env })
  t.match(refused, 'one line of up to 500 characters')
  t.match(await query(app, "select details from security_events where type = 'everyone_out'"), [
    { details: { by: 'operator', reason: 'A test of an incident' } }
  ])
})
