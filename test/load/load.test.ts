import pg from 'pg'
import t, { type Test } from 'tap'
import type { Report } from '../../scripts/load/report.ts'
import { promptServersEnv, type Env } from '../support/app.ts'
import { brokenReplica, readReports, startLoad } from '../support/load.ts'
import { parseMetrics } from '../support/metrics.ts'
import { expectDrawn } from '../support/plots.ts'
import { startServer } from '../support/server-process.ts'
import { inTerminal } from '../support/terminal.ts'
import { until } from '../support/wait.ts'

// On a machine that is busy with other tests, an answer may take longer than in a data centre.
const env = {
  ...await promptServersEnv(t),
  RATE_LIMITS: 'off',
  METRICS_TOKEN: 'the-token-of-the-tests-of-the-load',
  BLOCKLIST_DEADLINE_MS: '2000',
  DATABASE_DEADLINE_MS: '10000'
}
/** Two replicas, as in a test of a deployment. */
const addresses = (await Promise.all([startServer(t, env), startServer(t, env)])).map(({ address }) => address)

const targetsOf = (addresses: string[]) => addresses.flatMap(address => ['--target', address])

t.test('the report of a load has the counts of the servers, and its HTML is drawn', async t => {
  const { ended, output, folder } = startLoad(t, [
    ...targetsOf(addresses), '--users', '8', '--duration', '3', '--profile', 'mixed'
  ])
  t.equal(await ended, 0, output())
  t.match(output(), /^Loading \d\/3 s {2}\d+ requests\/s, p99 /m)
  const { report, htmlFile } = readReports(folder)
  const { logouts, logoutsUnderLoad, refusedEverywhere } = report.revocation
  const all = refusedEverywhere === logouts ? 'all' : `${refusedEverywhere} of them`
  const found = `^0 violations of ${logouts} checked logouts`
  t.match(output(), new RegExp(`${found} \\(${logoutsUnderLoad} under load\\), ${all} refused everywhere`, 'm'))
  await expectCounts(t, report)
  t.match(report, {
    mode: { kind: 'closed' }, profile: 'mixed', users: 8, endedBy: 'duration', targets: addresses, ownReplicas: false
  })
  t.match(report.coordinatedOmission, 'corrected for coordinated omission afterwards')
  for (const [operation, { measuredLatencyMs }] of Object.entries(report.operations)) {
    t.ok(measuredLatencyMs, `${operation}: as measured beside as corrected`)
  }
  await expectDrawn(t, htmlFile, report)
})

/** Scrapes all servers. Returns a function that sums a series over the samples that have these labels. */
async function scrape (): Promise<(series: string, which?: Record<string, string>) => number> {
  const samples = (await Promise.all(addresses.map(async address => {
    const answer = await fetch(`${address}/metrics`, { headers: { authorization: `Bearer ${env.METRICS_TOKEN}` } })
    return parseMetrics(await answer.text()).flatMap(({ samples }) => samples)
  }))).flat()
  return (series, which = {}) =>
    samples
      .filter(({ name, labels }) =>
        name === series && Object.entries(which).every(([label, value]) => labels[label] === value))
      .reduce((sum, { value }) => sum + value, 0)
}

/**
 * Returns how many requests may have been counted on one side only, since a busy machine was late. Zero if no request
 * was late.
 */
function doubtful ({ totals, revocation: { answers, askedAgain } }: Report, unavailable: number): number {
  return (
    totals.failed +
    unavailable +
    [answers, askedAgain.answers].reduce((sum, { unavailable, inconclusive }) => sum + unavailable + inconclusive, 0)
  )
}

function expectSame (t: Test, one: number, other: number, inDoubt: number, what: string): void {
  t.ok(Math.abs(one - other) <= inDoubt, `${what}: ${one} and ${other}, with ${inDoubt} in doubt`)
}

/** Expects that the report and the metrics of the servers have the same counts. */
async function expectCounts (t: Test, report: Report): Promise<void> {
  const sum = await scrape()
  const { operations, revocation, users, timeline, totals } = report
  const inDoubt = doubtful(report, sum('signout_unavailable_answers_total'))
  const statuses = Object.values(operations).flatMap(({ statuses }) => Object.keys(statuses))
  t.ok(
    statuses.every(status => status === '200') || statuses.some(status => /^(503|\D+)$/.test(status)),
    `nothing is refused but for want of time: ${statuses.join()}`
  )
  t.equal(
    totals.failed,
    Object.values(operations).reduce((sum, { requests, statuses }) => sum + requests - (statuses['200'] ?? 0), 0),
    'what has no 200 has failed'
  )
  t.equal(
    timeline.reduce((sum, { requests }) => sum + Object.values(requests).reduce((sum, count) => sum + count, 0), 0),
    totals.requests,
    'the timeline has every request'
  )
  expectSame(
    t,
    sum('signout_revocations_total', { reason: 'logout', scope: 'token' }),
    revocation.logouts,
    inDoubt,
    'every logout was checked'
  )
  expectSame(t, revocation.refusedEverywhere, revocation.logouts, inDoubt, 'every logout was refused everywhere')
  // Both replicas were asked about each access token of an ended session, and one about its refresh token.
  const refused = revocation.answers.refused + revocation.askedAgain.answers.refused
  expectSame(
    t,
    sum('signout_checks_total', { result: 'revoked' }),
    refused - revocation.logouts,
    inDoubt,
    'every refusal of an access token'
  )
  const withToken = ['token', 'me', 'sessions', 'logout', 'logout-everywhere'] as const
  const accepted = withToken.reduce((sum, operation) => sum + (operations[operation]?.statuses['200'] ?? 0), 0)
  const besides = addresses.length + (revocation.logouts - revocation.logoutsUnderLoad) + users
  expectSame(
    t,
    sum('signout_checks_total', { result: 'accepted' }),
    accepted + besides,
    inDoubt,
    'with one for each target at first, everybody who left, and everybody who was deleted'
  )
  const client = new pg.Client({ connectionString: String((env as Env)['DATABASE_URL']) })
  await client.connect()
  t.equal((await client.query('select * from users')).rowCount, 0, 'nobody is left behind')
  await client.end()
}

t.test('a replica that still accepts tokens after their logout is found, and the exit code is 1', async t => {
  const [good = '', other = ''] = addresses
  const secrets = new Set<string>()
  const broken = await brokenReplica(t, other, (answer, request, body) => {
    for (const secret of secretsOf(request.headers.authorization, body, answer.body)) secrets.add(secret)
    return answer.body.includes('"token_revoked"') ? { status: 200, body: '{}' } : answer
  })
  const { ended, output, folder } = startLoad(t, [
    ...targetsOf([good, broken]), '--users', '3', '--duration', '2', '--profile', 'logout-everywhere'
  ])
  t.equal(await ended, 1, output())
  const { report, report: { revocation }, html } = readReports(folder)
  const line =
    /^VIOLATION: the logout that (\S+) answered at \d{4}-\S+Z did not end its (access|refresh) token: (\S+) was asked [\d.]+ ms later, and answered 200 after [\d.]+ ms\.$/gm
  const printed = [...output().matchAll(line)]
  t.ok(printed.length >= 3, output())
  t.same([...new Set(printed.map(([, , , acceptedBy]) => acceptedBy))], [broken], 'the good one is blamed for nothing')
  t.equal(
    revocation.violationCount,
    revocation.answers.accepted + revocation.askedAgain.answers.accepted,
    'each token that was accepted is a violation'
  )
  t.equal(
    revocation.violations.length, Math.min(1_000, revocation.violationCount), 'each is in the report, up to a thousand'
  )
  t.equal(revocation.refusedEverywhere, 0, 'nothing was refused by the broken one')
  t.same(new Set(revocation.violations.map(({ what }) => what)), new Set(['access token', 'refresh token']))
  for (const { askedAfterMs, answeredAfterMs } of revocation.violations) {
    t.ok(askedAfterMs >= 0 && answeredAfterMs >= askedAfterMs)
  }
  t.match(html, /class="verdict bad"[^>]*>\d+ violations of /)
  t.match(html, '<h2>Violations</h2>')
  t.match(
    output(), new RegExp(`^${revocation.violationCount} violations of ${revocation.logouts} checked logouts`, 'm')
  )
  t.ok(secrets.size > 10, `${secrets.size} passwords and tokens were in use`)
  for (const [where, text] of Object.entries({ html, json: JSON.stringify(report), output: output() })) {
    t.same([...secrets].filter(secret => text.includes(secret)), [], `none of them is in the ${where}`)
  }
})

/** The passwords and tokens in a request and its answer. */
function secretsOf (authorization: string | undefined, ...bodies: string[]): string[] {
  const inBodies = bodies.flatMap(body =>
    [...body.matchAll(/"(?:password|access_token|refresh_token)":"([^"]+)"/g)].map(([, secret = '']) => secret)
  )
  return [...authorization === undefined ? [] : [authorization.replace(/^Bearer /, '')], ...inBodies]
}

t.test('without a target a load starts replicas and shows a bar, and Ctrl-C reports and stops them', async t => {
  // The shell prints how the load ended, and is not ended itself by the Ctrl-C.
  const terminal = (parts: string[]) => [
    'script', ...inTerminal(`trap : INT; ${parts.map(part => `'${part}'`).join(' ')}; echo "It ended with $?."`)
  ]
  const { child, ended, output, folder } = startLoad(
    t, ['--replicas', '2', '--users', '4', '--duration', '600', '--rate', '50'], terminal
  )
  // eslint-disable-next-line no-control-regex
  const shown = () => output().replaceAll(/\u001b\[[\d;?]*[A-Za-z]/g, '')
  await until('it loads', () => /Loading [█░]+ [2-9]\/600 s {2}\d+ requests\/s/.test(shown()), 60_000)
  child.stdin?.write('\u0003')
  await ended
  t.equal(/It ended with (\d+)\./.exec(shown())?.[1], '0', shown())
  t.match(shown(), /RATE_LIMITS=off: passwords can be guessed/)
  t.match(shown(), 'Ending, with a report of what there is so far.')
  const { report } = readReports(folder)
  t.match(report, { endedBy: 'interruption', ownReplicas: true, mode: { kind: 'open', ratePerSecond: 50 } })
  t.match(report.coordinatedOmission, 'count from when a request was due')
  t.ok(report.seconds < 600 && report.totals.requests > 0)
  t.ok(report.revocation.logouts >= 4)
  t.equal(report.revocation.violationCount, 0, 'no token was accepted')
  t.equal(report.targets.length, 2, 'as many replicas as were asked for')
  for (const target of report.targets) {
    const isStopped = await fetch(`${target}/health/live`).then(() => false, () => true)
    t.ok(isStopped, `${target} is stopped`)
  }
})

t.test('a storm signs all users in at once, and its report says how it measures', async t => {
  const before = (await scrape())('signout_unavailable_answers_total')
  const { ended, output, folder } = startLoad(t, [
    ...targetsOf(addresses), '--users', '12', '--duration', '1', '--profile', 'storm'
  ])
  t.equal(await ended, 0, output())
  const { report, report: { operations, mode, revocation, coordinatedOmission } } = readReports(folder)
  t.same(mode, { kind: 'waves' })
  t.match(coordinatedOmission, 'count from when everybody began')
  // One user had signed in before. The number of waves depends on the machine.
  t.ok((operations['sign-in']?.requests ?? 0) >= 11, `${operations['sign-in']?.requests} sign-ins`)
  t.equal(operations.logout?.statuses['200'] ?? 0, revocation.logoutsUnderLoad, 'every logout is checked')
  t.same(Object.keys(operations).filter(operation => !['sign-in', 'logout'].includes(operation)), [])
  const signedIn = 1 + (operations['sign-in']?.statuses['200'] ?? 0)
  expectSame(
    t,
    revocation.logouts,
    signedIn,
    doubtful(report, (await scrape())('signout_unavailable_answers_total') - before),
    'everybody who has signed in has logged out'
  )
})

t.test('a wrong command line and an unusable target exit with 2 and one line', async t => {
  for (const [args, line] of [
    [
      ['--profile', 'none'],
      /^load: .*'none' is invalid.*read, mixed, storm, logout-everywhere, soak.* See npm run load -- --help\n$/
    ],
    [
      ['--target', 'http://127.0.0.1:1'],
      /^load: Nothing listens at http:\/\/127.0.0.1:1: start it there, or correct --target\.\n$/
    ]
  ] as const) {
    const { ended, output } = startLoad(t, [...args])
    t.equal(await ended, 2)
    t.match(output(), line)
  }
})
