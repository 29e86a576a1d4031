import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { serversEnv } from '../support/app.ts'
import { succeed } from '../support/cli.ts'
import { inForm } from '../support/form.ts'
import { password, signInAt } from '../support/people.ts'
import { fetchFrom } from '../support/requests.ts'
import { startServer } from '../support/server-process.ts'
import { ask, oneConnection, type Front } from './ask.ts'
import { startHalfProtectedNginx } from './proxies.ts'

const rounds = inForm({ short: 3, long: 9 })
const requestsPerRound = inForm({ short: 40, long: 500 })
const connections = 5
const username = 'ada'
const paths = { page: '/open', protectedPage: '/page' }

/** Starts signout as a process, a page, and nginx in front of both. Returns the headers of a request with a token. */
async function start (t: Test): Promise<{ front: Front, headers: Record<string, string> }> {
  const env = await serversEnv(t)
  const { address } = await startServer(t, env)
  // The scope of the given configuration.
  await succeed(t, ['role', 'set', 'user', 'user', 'articles:read'], { env })
  await fetchFrom(address, 'POST /register', { body: { username, password } })
  const { access_token: token } = await signInAt(address, username)
  const page = createServer((_request, response) => { response.end('a page') })
  await new Promise<void>(resolve => { page.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { page.closeAllConnections(); page.close() })
  const service = `127.0.0.1:${(page.address() as AddressInfo).port}`
  const port = Number(new URL(address).port)
  const front = await startHalfProtectedNginx(t, { hosts: ['127.0.0.1', '127.0.0.1'], port, service })
  return { front, headers: { authorization: `Bearer ${token}` } }
}

/** Sends requests over some connections. Returns their times in milliseconds, and the statuses that occurred. */
async function measure (front: Front, path: string, headers: Record<string, string>) {
  const times: number[] = []
  const statuses = new Set<number>()
  await Promise.all(Array.from({ length: connections }, async () => {
    const agent = oneConnection(front)
    for (let number = 0; number < requestsPerRound / connections; number++) {
      const begin = performance.now()
      statuses.add((await ask(front, `GET ${path}`, { agent, headers })).status)
      times.push(performance.now() - begin)
    }
    agent.destroy()
  }))
  return { median: median(times), statuses: [...statuses] }
}

function median (values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}

t.test('under load nginx forwards every request that signout accepts, and the test prints its cost', async t => {
  const { front, headers } = await start(t)
  const medians: Record<keyof typeof paths, number[]> = { page: [], protectedPage: [] }
  for (let round = 0; round < rounds; round++) {
    for (const name of ['page', 'protectedPage'] as const) {
      const { median, statuses } = await measure(front, paths[name], headers)
      t.same(statuses, [200], name)
      medians[name].push(median)
    }
  }
  const [page, protectedPage] = [median(medians.page), median(medians.protectedPage)]
  t.comment(`median of a request: ${page.toFixed(2)} ms for the page, ${protectedPage.toFixed(2)} ms with the check`)
})
