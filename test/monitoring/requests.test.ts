import { request } from 'node:http'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { build, type Env, onEachStorage, serversEnv } from '../support/app.ts'
import { parseMetrics, readChanges } from '../support/metrics.ts'
import { signUp } from '../support/people.ts'
import { get, send } from '../support/requests.ts'

const settings: Env = { RATE_LIMITS: 'off', METRICS_TOKEN: 'a-token-for-tests' }
const histogram = 'signout_http_request_duration_seconds'
const counted = (route: string, method: string, status: number) =>
  `${histogram}_count{route="${route}",method="${method}",status="${status}"}`

/** Sends a request with a method that no client of the tests has. Resolves with the status. */
async function sendWith (method: string, url: string): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    request(url, { method, agent: false }, answer => {
      answer.resume().on('end', () => { resolve(answer.statusCode) })
    })
      .on('error', reject)
      .end()
  })
}

/** Runs work until the answers that it got are measured, which happens after they are sent. */
async function readCounts (app: FastifyInstance, work: () => Promise<unknown>): Promise<Record<string, number>> {
  return await readChanges(app, `${histogram}_count`, async () => {
    await work()
    await new Promise(resolve => { setImmediate(resolve) })
  })
}

t.test('HTTP requests are counted by the pattern of the route, the method and the status', async t => {
  await onEachStorage(t, async (t, app) => {
    const { token, id } = await signUp(app)
    const counts = await readCounts(app, async () => {
      for (let time = 0; time < 3; time++) await get(app, '/token', token)
      await get(app, '/token')
      await send(app, 'HEAD /token', { token })
      await get(app, `/users/${id}/sessions?state=live`, token)
      await get(app, `/users/${id}`, token)
      await get(app, `/nothing/${id}`, token)
      await send(app, 'POST /login', { body: { username: 'x' } })
      await get(app, '/health/live')
      await get(app, '/metrics')
    })
    t.same(counts, {
      [counted('/token', 'GET', 200)]: 3,
      [counted('/token', 'GET', 401)]: 1,
      [counted('/token', 'HEAD', 200)]: 1,
      [counted('/users/:id/sessions', 'GET', 403)]: 1,
      [counted('/users/:id', 'GET', 403)]: 1,
      [counted('unmatched', 'GET', 404)]: 1,
      [counted('/login', 'POST', 400)]: 1,
      [counted('/health/live', 'GET', 200)]: 1,
      [counted('/metrics', 'GET', 401)]: 1
    })
  }, settings)
})

t.test('an address without a route is counted as unmatched, and a method that no route has as other', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  const counts = await readCounts(app, async () => {
    for (const [path, status] of [['/', 405], ['/a-secret', 404], ['/a/b?c=d', 404], ['/users/%20/x', 404]] as const) {
      t.equal((await send(app, `DELETE ${path}`)).statusCode, status)
    }
    for (const method of ['PROPFIND', 'PURGE']) t.ok(Number(await sendWith(method, `${address}/me`)) >= 400, method)
  })
  const numbers = new Map<string, number>()
  for (const [name, count] of Object.entries(counts)) {
    t.match(name, /\{route="unmatched",method="(DELETE|other)",status="4\d\d"\}/)
    const method = String(/method="(\w+)"/.exec(name)?.[1])
    numbers.set(method, (numbers.get(method) ?? 0) + count)
  }
  t.same(Object.fromEntries(numbers), { DELETE: 4, other: 2 })
})

t.test('the duration of a request is measured from its arrival to the end of its answer', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const { list } = app.sessions
  const pauseMs = 60
  app.sessions.list = async (...args) => {
    await new Promise(resolve => setTimeout(resolve, pauseMs))
    return await list(...args)
  }
  const { token } = await signUp(app)
  const startedAt = performance.now()
  t.equal((await get(app, '/me/sessions', token)).statusCode, 200)
  await new Promise(resolve => { setImmediate(resolve) })
  const elapsedSeconds = (performance.now() - startedAt) / 1000
  const metric = parseMetrics(await app.metrics.scrape()).find(({ name }) => name === histogram)
  const samples = metric?.samples.filter(({ labels }) => labels['route'] === '/me/sessions') ?? []
  const valueOf = (suffix: string, le?: string) =>
    samples.find(({ name, labels }) => name === `${histogram}_${suffix}` && labels['le'] === le)?.value
  t.equal(valueOf('count'), 1)
  t.equal(valueOf('bucket', '0.05'), 0, 'it took longer than 50 ms')
  t.equal(valueOf('bucket', '+Inf'), 1)
  const seconds = Number(valueOf('sum'))
  t.ok(seconds >= (pauseMs - 2) / 1000 && seconds <= elapsedSeconds, `${seconds} s of ${elapsedSeconds} s`)
})

t.test('requests at METRICS_PORT are counted as well', async t => {
  const app = await build(t, { ...await serversEnv(t), METRICS_PORT: '0' })
  const address = String(await app.listenForScrapes())
  const counts = await readCounts(app, async () => {
    await (await fetch(`${address}/metrics`)).text()
    await (await fetch(`${address}/metrics/x`)).text()
  })
  t.same(counts, { [counted('/metrics', 'GET', 200)]: 1, [counted('unmatched', 'GET', 404)]: 1 })
})

t.test('without METRICS_PORT and METRICS_TOKEN no request is measured', async t => {
  const app = await build(t, await serversEnv(t))
  await get(app, '/health/live')
  await get(app, '/nowhere')
  const metric = parseMetrics(await app.metrics.scrape()).find(({ name }) => name === histogram)
  t.same(metric?.samples, [])
})
