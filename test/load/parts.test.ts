import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import t from 'tap'
import {
  corrected, createHistogram, distributionOf, expectedInterval, latenciesOf, recordLatency
} from '../../scripts/load/histogram.ts'
import { createHttpClient, type Exchange } from '../../scripts/load/http-client.ts'
import { createLogoutCheck } from '../../scripts/load/logout-check.ts'
import { inventPeople, type Person } from '../../scripts/load/people.ts'
import { chooseOperation, profiles } from '../../scripts/load/profiles.ts'
import { runOpenLoop } from '../../scripts/load/schedule.ts'
import type { Target } from '../../scripts/load/targets.ts'

const never = new AbortController().signal
const someone = (): Person => inventPeople(1)[0] as Person

t.test('in an open loop a stall does not delay the requests that are due after it', async t => {
  const due: number[] = []
  const startedAt = performance.now()
  let stalls = true
  await runOpenLoop(async (_person, dueAt) => {
    due.push(dueAt)
    if (stalls) await new Promise(resolve => setTimeout(resolve, 300))
    stalls = false
  }, {
    people: [someone()], durationMs: 500, signal: never, ratePerSecond: 100, onNotSent: () => { t.fail('all are sent') }
  })
  t.equal(due.length, 50)
  const first = due[0] as number
  t.ok(first >= startedAt && first - startedAt < 5_000)
  for (const [index, dueAt] of due.entries()) {
    t.ok(Math.abs(dueAt - first - 10 * index) < 0.001, `request ${index} is due at its time`)
  }
})

t.test('requests do not wait without a limit for a free user: they are counted as not sent', async t => {
  const over = new AbortController()
  let notSent = 0
  let release: () => void = () => {}
  const busy = new Promise<void>(resolve => { release = resolve })
  await runOpenLoop(() => busy, {
    people: [someone()],
    durationMs: 600_000,
    signal: over.signal,
    ratePerSecond: 20_000,
    onNotSent () {
      notSent++
      over.abort()
      release()
    }
  })
  t.ok(notSent > 0)
})

t.test('a closed loop is corrected for the requests that a stall prevented', async t => {
  const histogram = createHistogram(3)
  for (let count = 0; count < 999; count++) recordLatency(histogram, 1)
  recordLatency(histogram, 1_000)
  t.equal(Math.round(latenciesOf(histogram)?.p99 ?? 0), 1, 'as measured the stall is one request in a thousand')
  const after = latenciesOf(corrected(histogram, expectedInterval(histogram, [histogram])))
  t.ok((after?.p90 ?? 0) > 700 && (after?.p99 ?? 0) > 950, 'but a thousand requests would have been due meanwhile')
  t.equal(Math.round(after?.max ?? 0), 1_000)
  t.same(distributionOf(createHistogram(3)), [])
})

t.test('operations are chosen by their shares', async t => {
  const counts: Record<string, number> = {}
  for (let index = 0; index < 1_000; index++) {
    const operation = chooseOperation(profiles.mixed.shares, index / 1_000)
    counts[operation] = (counts[operation] ?? 0) + 1
  }
  t.same(counts, profiles.mixed.shares)
})

/** The answers of replicas to a revoked token. */
const answers: Record<string, Partial<Exchange>> = {
  refusing: { status: 401, error: 'token_revoked' },
  accepting: { status: 200 },
  unavailable: { status: 503, error: 'revocation_unavailable' },
  expired: { status: 401, error: 'token_expired' },
  gone: { failure: 'ECONNREFUSED', askedAt: undefined, endedAt: 4_009 }
}

/** A target that always gives this answer, 7 ms after a logout that was answered at 1000. */
function standIn (name: string, answer: Partial<Exchange>): Target {
  const nothing = { status: undefined, failure: undefined, error: undefined, headers: {}, body: '' }
  const client = {
    send: async () => ({ ...nothing, askedAt: 1_007, endedAt: 1_009, ...answer }),
    close: async () => {}
  }
  return { name, load: client, check: client }
}

t.test('for a revoked token a 200 is a violation, a 503 is not, and other answers prove nothing', async t => {
  const targets = Object.entries(answers).map(([name, answer]) => standIn(name, answer))
  const told: unknown[] = []
  const check = createLogoutCheck({
    targets,
    recorder: { recordCheck: (...parts) => { told.push(parts) } },
    onViolation: violation => { told.push(violation.acceptedBy) }
  })
  await check.check({
    sessions: [{ accessTokens: [{ token: 'a', expiresAt: Infinity }], refreshToken: 'r', refreshAt: 0 }],
    target: targets[1] as Target,
    answeredAt: 1_000
  })
  t.match(check.figures, {
    logouts: 1,
    logoutsUnderLoad: 1,
    refusedEverywhere: 0,
    violationCount: 1,
    answers: { refused: 2, accepted: 1, unavailable: 1, inconclusive: 2 }
  })
  t.match(
    check.figures,
    { neverAsked: 1, lastAskedMs: { max: 7 }, lastAnsweredMs: { max: 9 } },
    'who cannot be reached was not asked'
  )
  t.ok(told.some(parts => Array.isArray(parts) && parts[0] === 'inconclusive' && parts[1] === undefined))
  const took = { askedAfterMs: 7, answeredAfterMs: 9 }
  t.match(check.figures.violations, [
    { what: 'access token', loggedOutBy: 'accepting', acceptedBy: 'accepting', status: 200, ...took }
  ])
  t.ok(told.includes('accepting'))
  check.endLoad()
  await check.askAgain(never)
  t.match(check.figures, {
    logoutsUnderLoad: 1,
    violationCount: 2,
    askedAgain: { tokens: 1, answers: { refused: 1, accepted: 1, unavailable: 1, inconclusive: 2 } }
  })
})

t.test('a refused connection counts as never asked, and a reset one as asked', async t => {
  const resetting = createTcpServer(socket => { socket.once('data', () => { socket.resetAndDestroy() }) })
  await new Promise<void>(resolve => { resetting.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { resetting.close() })
  for (const [port, isAsked] of [[1, false], [(resetting.address() as AddressInfo).port, true]] as const) {
    const client = createHttpClient(
      { url: new URL(`http://127.0.0.1:${port}`), addresses: [{ address: '127.0.0.1', family: 4 }] }, 1
    )
    t.teardown(() => client.close())
    const { status, failure, askedAt } = await client.send({ method: 'GET', path: '/token' })
    t.match(
      { status, failure, isAsked: askedAt !== undefined },
      { status: undefined, failure: /^ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET$/, isAsked }
    )
  }
})

t.test('requests that were due and waited for a user at an interruption count as not sent', async t => {
  const over = new AbortController()
  let sent = 0
  let notSent = 0
  await runOpenLoop(async () => {
    sent++
    await new Promise(resolve => setTimeout(resolve, 200))
    over.abort()
  }, {
    people: [someone()], durationMs: 600_000, signal: over.signal, ratePerSecond: 100, onNotSent: () => { notSent++ }
  })
  t.equal(sent, 1)
  t.ok(notSent >= 15, `${notSent} were due besides in 200 ms`)
})
