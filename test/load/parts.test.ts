import { createServer } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import type { CommanderError } from 'commander'
import t from 'tap'
import { corrected, createHistogram, distributionOf, expectedInterval, latenciesOf, recordLatency } from '../../scripts/load/histogram.ts'
import { createHttpClient, type Exchange } from '../../scripts/load/http-client.ts'
import { createLogoutCheck } from '../../scripts/load/logout-check.ts'
import { parseOptions } from '../../scripts/load/options.ts'
import { inventPeople, signUpPeople, type Person } from '../../scripts/load/people.ts'
import { chooseOperation, profiles } from '../../scripts/load/profiles.ts'
import { runOpenLoop } from '../../scripts/load/schedule.ts'
import { closeTargets, openTargets, type Target } from '../../scripts/load/targets.ts'
import { build, serversEnv } from '../support/app.ts'
import { brokenReplica, listen } from '../support/load.ts'

const never = new AbortController().signal
const someone = (): Person => inventPeople(1)[0] as Person
/** A signout that lets two users sign up. */
const app = await build(t, { ...await serversEnv(t), LIMIT_REGISTER_BY_IP: '2/3600' })
const address = await app.listen({ port: 0 })

t.test('in an open loop a stall does not put off what is due after it', async t => {
  const due: number[] = []
  const startedAt = performance.now()
  let stalls = true
  await runOpenLoop(async (_person, dueAt) => {
    due.push(dueAt)
    if (stalls) await new Promise(resolve => setTimeout(resolve, 300))
    stalls = false
  }, { people: [someone()], durationMs: 500, signal: never, ratePerSecond: 100, onNotSent: () => { t.fail('all are sent') } })
  t.equal(due.length, 50)
  const first = due[0] as number
  t.ok(first >= startedAt && first - startedAt < 1_000)
  for (const [index, dueAt] of due.entries()) t.ok(Math.abs(dueAt - first - 10 * index) < 0.001, `request ${index} is due at its time`)
})

t.test('what nobody is free for does not wait without a limit: it is counted as not sent', async t => {
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

t.test('a closed loop is corrected for the requests that a stall kept from being sent', async t => {
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

t.test('of a token that has ended, a 200 is a violation, 503 is none, and other answers prove nothing', async t => {
  const answers: Record<string, Partial<Exchange>> = {
    refusing: { status: 401, error: 'token_revoked' },
    accepting: { status: 200 },
    unavailable: { status: 503, error: 'revocation_unavailable' },
    expired: { status: 401, error: 'token_expired' },
    gone: { failure: 'ECONNREFUSED', askedAt: undefined, endedAt: 4_009 }
  }
  const targets = Object.entries(answers).map(([name, answer]) => {
    const client = { send: async () => ({ status: undefined, failure: undefined, error: undefined, headers: {}, body: '', askedAt: 1_007, endedAt: 1_009, ...answer }), close: async () => {} }
    return { name, load: client, check: client } satisfies Target
  })
  const told: unknown[] = []
  const check = createLogoutCheck({ targets, recorder: { recordCheck: (...parts) => { told.push(parts) } }, onViolation: violation => { told.push(violation.acceptedBy) } })
  await check.check({ sessions: [{ accessTokens: [{ token: 'a', expiresAt: Infinity }], refreshToken: 'r', refreshAt: 0 }], target: targets[1] as Target, answeredAt: 1_000 })
  t.match(check.figures, { logouts: 1, logoutsUnderLoad: 1, refusedEverywhere: 0, violationCount: 1, answers: { refused: 2, accepted: 1, unavailable: 1, inconclusive: 2 } })
  t.match(check.figures, { neverAsked: 1, lastAskedMs: { max: 7 }, lastAnsweredMs: { max: 9 } }, 'who cannot be reached was not asked')
  t.ok(told.some(parts => Array.isArray(parts) && parts[0] === 'inconclusive' && parts[1] === undefined))
  t.match(check.figures.violations, [{ what: 'access token', loggedOutBy: 'accepting', acceptedBy: 'accepting', status: 200, askedAfterMs: 7, answeredAfterMs: 9 }])
  t.ok(told.includes('accepting'))
  check.endLoad()
  await check.askAgain(never)
  t.match(check.figures, { logoutsUnderLoad: 1, violationCount: 2, askedAgain: { tokens: 1, answers: { refused: 1, accepted: 1, unavailable: 1, inconclusive: 2 } } })
})

const refused = async (urls: string[], ownsTarget = false) => await openTargets(urls.map(url => new URL(url)), { users: 1, ownsTarget }).then(
  async targets => { await closeTargets(targets); return 'opened' },
  (error: Error) => error.message)

t.test('what is not this machine is refused, whatever it is called', async t => {
  t.match(await refused(['http://192.0.2.1:3000']), '192.0.2.1 is not this machine: to load what is yours elsewhere, add --i-own-this-target.')
  t.match(await refused(['http://[2001:db8::1]:3000']), '[2001:db8::1] is not this machine')
  t.match(await refused(['http://[::ffff:192.0.2.1]:3000']), 'is not this machine')
  t.match(await refused(['http://0.0.0.0:3000']), 'is not this machine')
  t.match(await refused(['http://nowhere.invalid']), /^nowhere\.invalid cannot be resolved \(E\w+\): correct --target\.$/)
  for (const url of ['http://127.9.9.9:1', 'http://[::1]:1', 'http://[::ffff:127.0.0.1]:1', 'http://localhost:1', 'http://2130706433:1']) t.match(await refused([url]), 'Nothing listens at', url)
  t.match(await refused(['http://127.0.0.1:1'], true), 'Nothing listens at')
})

t.test('a name is looked up once: all its addresses must be of this machine, and requests go to what it was then', async t => {
  const port = new URL(address).port
  const open = async (...addresses: string[]) => {
    const asked: string[] = []
    const lookup = async (host: string) => {
      asked.push(host)
      return addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
    }
    return { targets: await openTargets([new URL(`http://signout.invalid:${port}`)], { users: 1, ownsTarget: false, lookup }), asked }
  }
  await t.rejects(open('192.0.2.1'), { message: 'signout.invalid is 192.0.2.1, which is not this machine: to load what is yours elsewhere, add --i-own-this-target.' })
  await t.rejects(open('127.0.0.1', '192.0.2.1'), { message: /^signout\.invalid is 192\.0\.2\.1, which is not this machine/ })
  await t.rejects(open('::1', '2001:db8::1'), { message: /^signout\.invalid is 2001:db8::1, which is not this machine/ })
  const { targets, asked } = await open('127.0.0.1')
  t.teardown(() => closeTargets(targets))
  for (const client of targets.flatMap(({ load, check }) => [load, check])) t.match(await client.send({ method: 'GET', path: '/health/live' }), { status: 200 }, 'no resolver knows that name')
  t.same(asked, ['signout.invalid'])
})

t.test('a connection that is refused was never asked, one that is reset was', async t => {
  const resetting = createTcpServer(socket => { socket.once('data', () => { socket.resetAndDestroy() }) })
  await new Promise<void>(resolve => { resetting.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { resetting.close() })
  for (const [port, isAsked] of [[1, false], [(resetting.address() as AddressInfo).port, true]] as const) {
    const client = createHttpClient({ url: new URL(`http://127.0.0.1:${port}`), addresses: [{ address: '127.0.0.1', family: 4 }] }, 1)
    t.teardown(() => client.close())
    const { status, failure, askedAt } = await client.send({ method: 'GET', path: '/token' })
    t.match({ status, failure, isAsked: askedAt !== undefined }, { status: undefined, failure: /^ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET$/, isAsked })
  }
})

t.test('what was due and waited for somebody when it was interrupted was not sent', async t => {
  const over = new AbortController()
  let sent = 0
  let notSent = 0
  await runOpenLoop(async () => {
    sent++
    await new Promise(resolve => setTimeout(resolve, 200))
    over.abort()
  }, { people: [someone()], durationMs: 600_000, signal: over.signal, ratePerSecond: 100, onNotSent: () => { notSent++ } })
  t.equal(sent, 1)
  t.ok(notSent >= 15, `${notSent} were due besides in 200 ms`)
})

t.test('a target that is no signout, is not ready, redirects, or needs TLS is refused in a sentence', async t => {
  const page = await listen(t, createServer((_request, response) => { response.end('hello') }))
  t.equal(await refused([page]), `${page} is no signout: GET /token without a token was answered 200, where 401 authorization_required was expected.`)
  const elsewhere = await listen(t, createServer((_request, response) => { response.writeHead(308, { location: 'https://example.com/token' }).end() }))
  t.equal(await refused([elsewhere]), `${elsewhere} redirects to https://example.com/token: give the address itself, redirects are not followed.`)
  const notPlain = createTcpServer(socket => { socket.once('data', () => { socket.end(Buffer.from([0x15, 3, 1, 0, 2, 2, 0x16])) }) })
  await new Promise<void>(resolve => { notPlain.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { notPlain.close() })
  t.match(await refused([`http://127.0.0.1:${(notPlain.address() as AddressInfo).port}`]), /does not speak plain HTTP \(\w+\): where it needs TLS, write https:\/\/ instead of http:\/\/\.$/)
  t.match(await refused([page.replace('http:', 'https:')]), /does not speak TLS: write http:\/\/ instead of https:\/\/\.$/)
  const unready = await brokenReplica(t, address, (answer, { url }) => url === '/health/ready' ? { status: 503, body: '{"error":"service_unavailable"}' } : answer)
  t.equal(await refused([unready]), `${unready} is not ready: GET /health/ready was answered 503: {"error":"service_unavailable"}`)
})

t.test('a target that limits rates is explained, and the rest is not tried', async t => {
  const targets = await openTargets([new URL(address)], { users: 20, ownsTarget: false })
  t.teardown(() => closeTargets(targets))
  await t.rejects(signUpPeople(inventPeople(20), { targets, signal: never, onProgress: () => {} }), {
    message: `${address} answers POST /register with 429, since its limits on guessing passwords are on: start it with RATE_LIMITS=off, on a closed network only.`
  })
})

t.test('-h and --help print the same, and end well', async t => {
  const helps = ['-h', '--help'].map(option => {
    const written = t.capture(process.stdout, 'write', () => true)
    try {
      return parseOptions([option])
    } catch (error) {
      return [(error as CommanderError).exitCode, ...written().map(({ args }) => args[0])]
    } finally {
      // What the test itself says goes there too.
      written.restore()
    }
  })
  t.match(helps, [[0, /^Usage: /], [0, /^Usage: /]])
  t.same(helps[0], helps[1])
})

t.test('options that are wrong are named, with their bounds', async t => {
  const written = t.capture(process.stderr, 'write', () => true)
  for (const [args, line] of [
    [['--users', '0'], /--users <count>.* whole number from 1 to 10000\./],
    [['--users', '10001'], /1 to 10000/],
    [['--duration', '1e3'], /--duration .* 1 to 86400/],
    [['--rate', '20001'], /--rate .* 1 to 20000/],
    [['--replicas', '11'], /--replicas .* 1 to 10/],
    [['--target', 'localhost:3000'], /must be an http or https address/],
    [['--target', 'http://ada:secret@localhost'], /must not hold a user or a password/],
    [['--target', 'http://a', '--target', 'http://a/'], /is there twice/],
    [['--target', 'http://a', '--replicas', '2'], /--replicas goes without --target/],
    [['--i-own-this-target'], /--i-own-this-target goes with --target/],
    [['--profile', 'storm', '--rate', '5'], /--rate does not go with storm/],
    [['mixed'], /too many arguments/],
    [Array.from({ length: 51 }, (_, index) => ['--target', `http://a:${index + 1}`]).flat(), /at most 50 targets/]
  ] as [string[], RegExp][]) {
    t.throws(() => parseOptions(args), { name: 'CommanderError' }, args.join(' '))
    const said = String(written().at(-1)?.args[0])
    t.match(said, line)
    t.match(said, /^load: [^\n]* See npm run load -- --help\n$/)
  }
  t.match(parseOptions(['--profile', 'soak']), { ratePerSecond: 100, durationSeconds: 3600, targets: [], users: 50 })
  t.match(parseOptions(['--target', 'http://a', '--target', 'http://b/c', '--duration', '5']), { ratePerSecond: undefined, durationSeconds: 5, targets: [{ host: 'a' }, { pathname: '/c' }] })
})
