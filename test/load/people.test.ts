import t from 'tap'
import { createActions } from '../../scripts/load/actions.ts'
import type { Exchange, HttpClient, Request } from '../../scripts/load/http-client.ts'
import { createLogoutCheck } from '../../scripts/load/logout-check.ts'
import {
  deletePeople, inventPeople, openedSession, signUpPeople, type Person, type Session
} from '../../scripts/load/people.ts'
import { profiles } from '../../scripts/load/profiles.ts'
import type { Report } from '../../scripts/load/report.ts'
import { runLoad } from '../../scripts/load/run.ts'
import { runWaves } from '../../scripts/load/schedule.ts'
import type { Target } from '../../scripts/load/targets.ts'

const never = new AbortController().signal
const pair = (name: string, expiresInSeconds = 900) =>
  JSON.stringify({ access_token: `access-${name}`, refresh_token: `refresh-${name}`, expires_in: expiresInSeconds })
const inSession = (name: string, changes: Partial<Session> = {}): Session => ({
  ...openedSession(pair(name)), ...changes
})
const someone = (...sessions: Session[]): Person => ({ ...inventPeople(1)[0] as Person, sessions })

/** A target with the given answers. It keeps its requests, and those of the checks under `checked`. */
function standIn (answer: (request: Request) => Partial<Exchange> | Promise<Partial<Exchange>>) {
  const sent: Request[] = []
  const checked: Request[] = []
  const client = (kept: Request[]): HttpClient => ({
    async send (request) {
      kept.push(request)
      const askedAt = performance.now()
      const answered = {
        status: undefined,
        failure: undefined,
        error: undefined,
        headers: {},
        body: '',
        askedAt,
        ...await answer(request)
      }
      return { ...answered, endedAt: performance.now() }
    },
    async close () {}
  })
  const target: Target = { name: 'stand-in', load: client(sent), check: client(checked) }
  return { target, sent, checked }
}

function actionsFor (target: Target) {
  const latencies: number[] = []
  const recorder = {
    start () {},
    stop () {},
    record (_operation: string, _exchange: Exchange, latencyMs: number) { latencies.push(latencyMs) },
    recordNotSent () {},
    recordCheck () {},
    figures: undefined as never
  }
  const logoutCheck = createLogoutCheck({ targets: [target], recorder, onViolation () {} })
  return {
    latencies,
    logoutCheck,
    actions: createActions({ profile: profiles.read, targets: [target], recorder, logoutCheck, onLimited () {} })
  }
}

const ending = ({ path }: Request): Partial<Exchange> =>
  path === '/refresh'
    ? { status: 200, body: pair('new') }
    : path.startsWith('/logout')
      ? { status: 200 }
      : { status: 401, error: 'token_revoked' }

t.test('a latency counts from when the request was due, and not from when it was sent', async t => {
  const { target } = standIn(() => ({ status: 200 }))
  const { actions, latencies } = actionsFor(target)
  const dueAt = performance.now() - 5_000
  await actions.act(someone(inSession('a')), dueAt)
  t.ok((latencies[0] ?? 0) >= 5_000 && (latencies[0] ?? 0) <= performance.now() - dueAt, `${latencies[0]} ms`)
})

t.test('a user with an expired access token refreshes it first, and logs out with the next one', async t => {
  const { target, sent, checked } = standIn(ending)
  const { actions, logoutCheck } = actionsFor(target)
  const person = someone(inSession('old', { refreshAt: 0, accessTokens: [{ token: 'access-old', expiresAt: 0 }] }))
  await actions.logOut(person, performance.now())
  await actions.logOut(person, performance.now())
  t.match(sent, [
    { path: '/refresh', body: { refresh_token: 'refresh-old' } }, { path: '/logout', token: 'access-new' }
  ])
  t.same(person.sessions, [])
  t.same(
    checked.map(({ token }) => token).filter(token => token !== undefined),
    ['access-new'],
    'that an expired token is refused would show nothing'
  )
  t.match(logoutCheck.figures, { logouts: 1, neverAsked: 0 })
})

t.test('at the end the latest tokens are checked once more, without those that have expired', async t => {
  const { target, checked } = standIn(ending)
  const { logoutCheck } = actionsFor(target)
  const check = async (name: string, expiresAt = Infinity) =>
    await logoutCheck.check({
      sessions: [inSession(name, { accessTokens: [{ token: name, expiresAt }] })], target, answeredAt: performance.now()
    })
  for (let logout = 0; logout < 600; logout++) await check(`token-${logout}`)
  await check('expired', 0)
  checked.length = 0
  await logoutCheck.askAgain(never)
  const asked = new Set(checked.map(({ token }) => token))
  t.equal(asked.size, 499)
  for (let logout = 101; logout < 600; logout++) t.ok(asked.has(`token-${logout}`), `token-${logout}`)
})

t.test('in a storm the wait of a refused user counts from the start of the wave', async t => {
  const over = new AbortController()
  let tries = 0
  const due: number[] = []
  const signIn = async (person: Person, dueAt: number) => {
    due.push(dueAt)
    await new Promise(resolve => setTimeout(resolve, 5))
    if (++tries === 3) person.sessions.push(inSession('a'))
  }
  const logOut = async () => { over.abort() }
  await runWaves({ signIn, logOut }, { people: [someone()], durationMs: 60_000, signal: over.signal })
  t.equal(due.length, 3)
  t.equal(new Set(due).size, 1)
})

t.test('a user whose registration was not answered may exist, and is deleted or found missing', async t => {
  const over = new AbortController()
  const { target, sent } = standIn(({ path }) => {
    if (path !== '/register') return path === '/login' ? { status: 401, error: 'invalid_credentials' } : { status: 204 }
    over.abort()
    return { failure: 'timeout' }
  })
  const people = inventPeople(1)
  await t.rejects(signUpPeople(people, { targets: [target], signal: over.signal, onProgress () {} }), {
    message: /answered POST \/register with timeout/
  })
  t.match(people, [{ mayExist: true }])
  t.equal(
    await deletePeople(people, { targets: [target], signal: over.signal, onProgress () {} }),
    1,
    'in a hurry it is left, and said to be'
  )
  t.equal(await deletePeople(people, { targets: [target], signal: never, onProgress () {} }), 0)
  t.same(sent.map(({ path }) => path), ['/register', '/login'])
})

t.test('a user does not exist if the registration was refused or could not be sent', async t => {
  for (const answer of [{ status: 400, error: 'invalid_request' }, { failure: 'ECONNREFUSED', askedAt: undefined }]) {
    const { target } = standIn(() => answer)
    const people = inventPeople(1)
    await t.rejects(signUpPeople(people, { targets: [target], signal: never, onProgress () {} }))
    t.match(people, [{ mayExist: false }])
  }
})

t.test('the deletion of many users may take longer than the deletion of one', async t => {
  let elapsedMs = 0
  const { target } = standIn(({ path }) => {
    elapsedMs += 700
    return path === '/login' ? { status: 200, body: pair('a') } : { status: 204 }
  })
  t.capture(performance, 'now', () => elapsedMs)
  t.equal(
    await deletePeople(inventPeople(100), { targets: [target], signal: never, onProgress () {} }),
    0,
    'it takes 140 s, of 160'
  )
})

t.test('the report is kept after the load and again after the logouts, and then users are deleted', async t => {
  const events: string[] = []
  const statuses: Record<string, number> = { '/register': 201, '/login': 200, '/logout': 200 }
  const over = new AbortController()
  let asked = 0
  const { target } = standIn(({ method, path }) => {
    if (path === '/logout' || method === 'DELETE') events.push(`${method} ${path}`)
    // A target that answers at once lets no timer fire.
    if (method === 'GET' && ++asked === 20) over.abort()
    return method === 'DELETE' ? { status: 204 } : { status: statuses[path] ?? 200, body: pair('a') }
  })
  target.check = standIn(() => ({ status: 401, error: 'token_revoked' })).target.check
  const keep = ({ endedBy, revocation: { logouts } }: Report) => { events.push(`kept: ${endedBy}, ${logouts} logouts`) }
  const progress = { say () {}, begin: () => ({ update () {}, end () {} }) }
  const options = {
    targets: [],
    users: 1,
    durationSeconds: 600,
    profile: 'read' as const,
    ratePerSecond: undefined,
    replicas: 1,
    outputDir: '',
    ownsTarget: false
  }
  const report = await runLoad({
    options, targets: [target], ownReplicas: false, progress, signal: over.signal, hurry: never, keep
  })
  t.same(events, ['kept: interruption, 0 logouts', 'POST /logout', 'kept: interruption, 1 logouts', 'DELETE /me'])
  t.match(report.revocation, { logouts: 1, refusedEverywhere: 1 })
})
