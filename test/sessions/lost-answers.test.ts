import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { build, serversEnv, shareStorages } from '../support/app.ts'
import { query, sessionRow } from '../support/database.ts'
import { register, signIn, type Pair } from '../support/people.ts'
import { get, logOut, outcome, refresh, send } from '../support/requests.ts'
import { claimsOf, ended, refusals, sessionIdOf } from '../support/sessions.ts'

const storages = shareStorages(t)

/** Moves the last refresh of a session back. */
async function wait (app: FastifyInstance, pair: Pair, seconds: number): Promise<void> {
  const back = `- interval '${seconds} seconds'`
  const id = sessionIdOf(pair)
  await query(app, `update sessions set rotated_at = rotated_at ${back} where id = '${id}'`)
  await query(app, `update spent_refresh_tokens set spent_at = spent_at ${back} where session_id = '${id}'`)
}

async function renew (app: FastifyInstance, pair: Pair): Promise<Pair> {
  const answer = await refresh(app, pair.refresh_token)
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return answer.json()
}

/** Signs in, and refreshes. The answer to the refresh is lost. */
async function loseAnswer (app: FastifyInstance): Promise<{ first: Pair, lost: Pair }> {
  const first = await signIn(app, (await register(app)).username)
  return { first, lost: await renew(app, first) }
}

const use = async (app: FastifyInstance, { access_token: token }: Pair): Promise<string> => {
  const said = outcome(await get(app, '/token', token))
  await app.firstUses.flush()
  return said
}

t.test('a refresh whose answer was lost can be repeated after the grace, and gets a new pair', t => storages(t, async (t, app) => {
  for (const seconds of [11, 600, 3_590]) {
    const { first, lost } = await loseAnswer(app)
    await wait(app, first, seconds)
    const next = await renew(app, first)
    t.not(next.refresh_token, lost.refresh_token)
    t.not(claimsOf(next).jti, claimsOf(lost).jti)
    t.equal(sessionIdOf(next), sessionIdOf(first))
    t.equal(await use(app, lost), '401 token_revoked', 'the access token of the lost pair is revoked')
    t.equal(await use(app, next), '200')
    t.equal(sessionIdOf(await renew(app, next)), sessionIdOf(first))
  }
}))

t.test('two tabs that repeat a refresh at once after the grace get the same pair', t => storages(t, async (t, app) => {
  const { first } = await loseAnswer(app)
  await wait(app, first, 600)
  const [one, two] = [await renew(app, first), await renew(app, first)]
  t.equal(one.refresh_token, two.refresh_token)
  t.equal(one.access_token, two.access_token)
}))

t.test('a superseded refresh token is a theft: the session ends', t => storages(t, async (t, app) => {
  const { first, lost } = await loseAnswer(app)
  await wait(app, first, 600)
  const next = await renew(app, first)
  t.equal(outcome(await refresh(app, lost.refresh_token)), '401 refresh_token_reused')
  t.same(await refusals(app, next), ended)
  t.match(await sessionRow(app, sessionIdOf(first)), { end_reason: 'refresh_token_reused' })
}))

t.test('a spent refresh token is a theft once its successor is used, or the time is over', t => storages(t, async (t, app) => {
  const thefts: Record<string, (first: Pair, next: Pair) => Promise<unknown>> = {
    'the access token was seen': (_, next) => use(app, next),
    'the refresh token was spent': (_, next) => renew(app, next),
    'an hour is over': first => wait(app, first, 3_000)
  }
  for (const [name, act] of Object.entries(thefts)) {
    const { first, lost } = await loseAnswer(app)
    await wait(app, first, 620)
    await act(first, lost)
    t.equal(outcome(await refresh(app, first.refresh_token)), '401 refresh_token_reused', name)
    t.equal(await use(app, lost), '401 token_revoked', name)
    t.match(await sessionRow(app, sessionIdOf(first)), { end_reason: 'refresh_token_reused' }, name)
  }
}))

t.test('within the grace a pair that is used is repeated all the same', t => storages(t, async (t, app) => {
  const { first, lost } = await loseAnswer(app)
  t.equal(await use(app, lost), '200')
  t.equal((await renew(app, first)).refresh_token, lost.refresh_token)
}))

t.test('an access token is noted as seen within a second, once, and not on each use', t => storages(t, async (t, app) => {
  const { lost } = await loseAnswer(app)
  t.equal((await sessionRow(app, sessionIdOf(lost)) as { used_at: unknown }).used_at, null)
  await use(app, lost)
  const { used_at: usedAt } = await sessionRow(app, sessionIdOf(lost)) as { used_at: unknown }
  t.ok(usedAt)
  await use(app, lost)
  t.same((await sessionRow(app, sessionIdOf(lost)) as { used_at: unknown }).used_at, usedAt)
}))

t.test('P8: a lost answer does not make a logout fail', t => storages(t, async (t, app) => {
  for (const seconds of [0, 600]) {
    const { first, lost } = await loseAnswer(app)
    await wait(app, first, seconds)
    const answer = await send(app, 'POST /logout', { body: { refresh_token: first.refresh_token } })
    t.equal(outcome(answer), '200', `after ${seconds} s`)
    t.same(await refusals(app, lost), ended)
    t.match(await sessionRow(app, sessionIdOf(first)), { end_reason: 'logout' })
  }
}))

t.test('a repetition from another address or user agent is a security event', t => storages(t, async (t, app) => {
  const { first } = await loseAnswer(app)
  const events = () => query(
    app, `select type from security_events where type = 'refresh_repeated' and session_id = '${sessionIdOf(first)}'`
  )
  await renew(app, first)
  t.equal((await events()).length, 0, 'the same requester')
  await wait(app, first, 600)
  const body = { refresh_token: first.refresh_token }
  t.equal(outcome(await send(app, 'POST /refresh', { body, headers: { 'user-agent': 'another one' } })), '200')
  t.equal((await events()).length, 1)
}))

t.test('REFRESH_REPEAT_MAX=0 makes every repetition after the grace a theft', async t => {
  const app = await build(t, { ...await serversEnv(t), REFRESH_REPEAT_MAX: '0' })
  const { first, lost } = await loseAnswer(app)
  await wait(app, first, 11)
  t.equal(outcome(await refresh(app, first.refresh_token)), '401 refresh_token_reused')
  t.same(await refusals(app, lost), ended)
  await logOut(app, lost.access_token)
})
