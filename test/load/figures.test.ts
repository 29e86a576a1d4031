import t from 'tap'
import type { Exchange } from '../../scripts/load/http-client.ts'
import type { Operation } from '../../scripts/load/profiles.ts'
import { createRecentRequests } from '../../scripts/load/recent.ts'
import { createRecorder, type Recorder } from '../../scripts/load/recorder.ts'
import { htmlOf } from '../../scripts/load/report-html.ts'
import { sampleReport } from '../support/load.ts'

/** Records an answer with its latency a number of times. */
function recordTimes (
  recorder: Recorder, count: number, operation: Operation, latencyMs: number, exchange: Partial<Exchange> = {}
): void {
  const full = {
    status: 200,
    failure: undefined,
    error: undefined,
    headers: {},
    body: '',
    askedAt: 0,
    endedAt: latencyMs,
    ...exchange
  }
  for (let index = 0; index < count; index++) recorder.record(operation, full, latencyMs)
}

function startRecorder (isCorrected: boolean): Recorder {
  const recorder = createRecorder({ durationSeconds: 10, isCorrected })
  recorder.start()
  return recorder
}

t.test('a stall of a rare operation stands for the requests of its kind that were due, and no more', async t => {
  const recorder = startRecorder(true)
  recordTimes(recorder, 9_900, 'token', 2)
  recordTimes(recorder, 99, 'logout', 4)
  recordTimes(recorder, 1, 'logout', 1_000)
  recorder.stop()
  const { operations, timeline } = recorder.figures
  t.match(operations.logout?.latencyMs, { p50: 4.001, p90: 4.001 }, 'the median is that of the logouts')
  t.ok((operations.logout?.latencyMs?.p99 ?? 0) > 500, 'the stall is seen by more than one in a hundred')
  t.equal(
    recorder.figures.sum().totalCount,
    10_000 + 3,
    'one logout is usual in 202 ms of a user: three were due in the stall, and could not be sent'
  )
  t.ok((timeline[0]?.latencyMs?.p99 ?? Infinity) < 5, 'over time it is the same')
})

t.test('a closed loop reports measured and corrected latencies, and an open loop only measured ones', async t => {
  const closed = startRecorder(true)
  const open = startRecorder(false)
  for (const recorder of [closed, open]) {
    recordTimes(recorder, 999, 'token', 1)
    recordTimes(recorder, 1, 'token', 1_000)
    recorder.stop()
  }
  t.match(closed.figures.operations.token, { requests: 1_000, measuredLatencyMs: { p90: 1, max: 1_000 } })
  t.ok((closed.figures.operations.token?.latencyMs?.p90 ?? 0) > 700, 'a thousand more would have been due in the stall')
  t.match(open.figures.operations.token?.latencyMs, { p90: 1, max: 1_000 })
  t.notOk('measuredLatencyMs' in (open.figures.operations.token ?? {}))
})

t.test('a failure counts with its latency, unless the connection was refused', async t => {
  const recorder = startRecorder(false)
  recordTimes(recorder, 10, 'token', 1)
  recordTimes(recorder, 1, 'token', 2_000, { status: undefined, failure: 'ECONNRESET' })
  recordTimes(recorder, 1, 'token', 3_000, {
    status: undefined, failure: 'UND_ERR_CONNECT_TIMEOUT', askedAt: undefined
  })
  recordTimes(recorder, 50, 'token', 0.2, { status: undefined, failure: 'ECONNREFUSED', askedAt: undefined })
  recorder.stop()
  const { requests, failed } = recorder.figures
  t.match({ requests, failed }, { requests: 62, failed: 52 })
  t.equal(recorder.figures.sum().totalCount, 12)
  t.equal(Math.round(recorder.figures.operations.token?.latencyMs?.max ?? 0), 3_000, 'the longest is among them')
})

t.test('a wait of more than a minute is reported with its full length', async t => {
  const recorder = startRecorder(false)
  recordTimes(recorder, 1, 'token', 600_000)
  recorder.stop()
  t.ok((recorder.figures.operations.token?.latencyMs?.max ?? 0) >= 600_000)
})

t.test('live rates are those of the last second, independent of the intervals of the timeline', async t => {
  let nowMs = 0
  const requests = createRecentRequests(() => nowMs)
  t.same(requests.now, { requestsPerSecond: 0, p99Ms: undefined })
  for (; nowMs < 10_000; nowMs += 10) requests.record(500)
  t.match(requests.now, { requestsPerSecond: 100 })
  for (; nowMs < 12_000; nowMs += 100) requests.record(2)
  t.match(requests.now, { requestsPerSecond: 10 })
  t.ok((requests.now.p99Ms ?? Infinity) < 3, 'what was slow two seconds ago is over')
  nowMs += 5_000
  t.same(requests.now, { requestsPerSecond: 0, p99Ms: undefined })
})

t.test('the HTML report escapes names and answers of targets, and they do not end the embedded JSON', async t => {
  const evil = '</script><script>alert("1")</script>&'
  const violation = {
    what: 'access token' as const,
    loggedOutAt: evil,
    loggedOutBy: evil,
    acceptedBy: evil,
    status: 200,
    askedAfterMs: 1,
    answeredAfterMs: 2
  }
  const report = sampleReport({
    targets: [evil],
    startedAt: evil,
    coordinatedOmission: evil,
    profileDescription: evil,
    operations: { token: { requests: 1, statuses: { [evil]: 1 }, latencyMs: undefined, distribution: [] } },
    revocation: { ...sampleReport().revocation, violationCount: 1, violations: [violation] }
  })
  const html = htmlOf(report)
  t.notMatch(html, '<script>alert')
  t.notMatch(html, 'alert("1")</')
  t.match(html, '&lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;')
  const [, json = ''] = /<script type="application\/json" id="report">(.*)<\/script>/.exec(html) ?? []
  t.notMatch(json, '<')
  t.same(JSON.parse(json), JSON.parse(JSON.stringify(report)), 'it is the report all the same')
})

t.test('the verdict is green or red only for shown results, and counts the requests that were not sent', async t => {
  const { revocation } = sampleReport()
  const showing = (changes: Partial<typeof revocation>) =>
    /class="verdict (\w+)"[^>]*>([^<]*)</
      .exec(htmlOf(sampleReport({ revocation: { ...revocation, ...changes } })))
      ?.slice(1)
  t.match(showing({}), ['good', /^0 violations of 2 checked logouts \(1 under load\), all refused everywhere/])
  t.match(
    showing({
      refusedEverywhere: 1, neverAsked: 3, lastAskedMs: { median: 1, max: 2 }, lastAnsweredMs: { median: 1, max: 2 }
    }),
    [
      'open',
      /, 1 of them refused everywhere .* 3 of these requests could not be sent, and are left out of these times\./
    ]
  )
  t.match(showing({ refusedEverywhere: 0, neverAsked: 3 }), [
    'open', /\(4 refused\)\. 3 of these requests could not be sent\.$/
  ])
  t.match(showing({ logouts: 0, refusedEverywhere: 0 }), ['open', /^No logout was answered 200/])
  t.match(showing({ violationCount: 1 }), ['bad', /^1 violation of /])
})
