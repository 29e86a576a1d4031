import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { shareStorages } from '../support/app.ts'
import { query } from '../support/database.ts'
import { inForm } from '../support/form.ts'
import { register, signIn, type Pair } from '../support/people.ts'
import { get, outcome, refresh } from '../support/requests.ts'
import { sessionIdOf } from '../support/sessions.ts'
import {
  acts, beginning, describe, countSurvivors, isAccepted, step, type Act, type Omission, type RefreshState
} from './refresh-model.ts'

const storages = shareStorages(t, { RATE_LIMITS: 'off' })

/** Every state within so many acts, with the shortest way to it. */
function explore (depth: number, omission?: Omission): Array<{ state: RefreshState, trace: Act[] }> {
  const found = new Map([[JSON.stringify(beginning), { state: beginning, trace: [] as Act[] }]])
  let edge = [...found.values()]
  for (let depthNow = 0; depthNow < depth; depthNow++) {
    const next: typeof edge = []
    for (const { state, trace } of edge) {
      for (const act of acts) {
        const after = step(state, act, omission).state
        const key = JSON.stringify(after)
        if (found.has(key)) continue
        const reached = { state: after, trace: [...trace, act] }
        found.set(key, reached)
        next.push(reached)
      }
    }
    edge = next
  }
  return [...found.values()]
}

/** The shortest way to a state from which so many go on, although both refresh again and again. */
const findSurvivors = (count: number, omission?: Omission) => explore(7, omission).find(({ state }) =>
  countSurvivors(state, 0, omission) === count || countSurvivors(state, 1, omission) === count)?.trace.map(describe)

/** The shortest way to a pair for a token whose successor is known to be used. */
const findPairAfterUse = (omission?: Omission) => explore(7, omission).find(({ state }) =>
  ([0, 1] as const).some(who => !state.inGrace && state.isUsed && state.held[who] === state.predecessor &&
    step(state, { who, does: 'refreshes' }, omission).pair !== undefined))?.trace.map(describe)

t.test('an owner and a thief with the same token never both go on, whatever notes and answers are lost', async t => {
  t.ok(explore(7).length > 1_000, 'many states are reached')
  t.equal(findSurvivors(2), undefined)
  t.equal(findSurvivors(1), undefined, 'the session ends when the second of them refreshes')
  t.equal(findPairAfterUse(), undefined)
})

t.test('each part of the rule for lost answers is needed', async t => {
  t.ok(findSurvivors(2, 'a pair of its own'), 'a token that is repeated late gets a pair of its own')
  t.ok(findSurvivors(1, 'superseded is stolen'), 'a superseded token ends the session')
  t.ok(findPairAfterUse('used is stolen'), 'a token ends the session once its successor was used')
})

/** In the short form, every fourth of the ways is tried. */
const stride = inForm({ short: 4, long: 1 })

t.test('the service does what the model of refreshes says', t => storages(t, async (t, app) => {
  const { username } = await register(app)
  const isRefresh = (act: Act | undefined) => act !== undefined && 'does' in act && !act.does.startsWith('uses')
  const traces = explore(4)
    .map(({ trace }) => trace)
    .filter(trace => isRefresh(trace.at(-1)))
    .filter((_, index) => index % stride === 0)
  t.ok(traces.length > inForm({ short: 15, long: 60 }), `${traces.length} ways`)
  for (const trace of traces) t.same(await replay(app, username, trace), [], trace.map(describe).join(', '))
}))

/** Does the acts on the service and in the model. Returns what differs. */
async function replay (app: FastifyInstance, username: string, trace: Act[]): Promise<string[]> {
  const pairs: Pair[] = [await signIn(app, username)]
  let state = beginning
  const problems: string[] = []
  for (const act of trace) {
    const { state: after, pair: expected } = step(state, act)
    if ('passes' in act) {
      await pass(app, pairs[0] as Pair, act.passes === 'the grace' ? 60 : 3_600)
    } else if (act.does === 'uses the token') {
      const own = state.held[act.who]
      const said = outcome(await get(app, '/token', (pairs[own] as Pair).access_token))
      await app.firstUses.flush()
      if ((said === '200') !== isAccepted(state, own)) problems.push(`${describe(act)}: ${said}`)
    } else if (act.does !== 'uses the token, unnoticed') {
      const answer = await refresh(app, (pairs[state.held[act.who]] as Pair).refresh_token)
      const got = answer.statusCode === 200 ? answer.json() as Pair : undefined
      if (expected !== undefined && got !== undefined) pairs[expected] ??= got
      const wanted = expected === undefined ? undefined : pairs[expected]
      if (got?.refresh_token !== wanted?.refresh_token) problems.push(`${describe(act)}: ${outcome(answer)}`)
    }
    state = after
  }
  return problems
}

/** Makes the last refresh older, and the one before it. */
async function pass (app: FastifyInstance, pair: Pair, seconds: number): Promise<void> {
  const id = sessionIdOf(pair)
  await query(app, `update sessions set rotated_at = rotated_at - interval '${seconds} s' where id = '${id}'`)
  await query(
    app, `update spent_refresh_tokens set spent_at = spent_at - interval '${seconds} s' where session_id = '${id}'`
  )
}
