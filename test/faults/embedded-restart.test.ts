import t from 'tap'
import { embeddedEnv } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { password, signInAt, type Pair } from '../support/people.ts'
import { fetchFrom, type RequestOptions, type Route } from '../support/requests.ts'
import { startServer, type ServerProcess } from '../support/server-process.ts'
import { sessionIdOf } from '../support/sessions.ts'
import { serviceRows } from './rows/service.ts'

/** Sends a request, and returns the status and the body of the answer. */
async function ask (
  { address }: ServerProcess, route: Route, options: RequestOptions
): Promise<{ status: number, body: Record<string, unknown> }> {
  const answer = await fetchFrom(address, route, options)
  const text = await answer.text()
  return { status: answer.status, body: text === '' ? {} : JSON.parse(text) as Record<string, unknown> }
}

testFault(t, serviceRows.embeddedKilled, async t => {
  const env = await embeddedEnv(t)
  const first = await startServer(t, env)
  await ask(first, 'POST /register', { body: { username: 'ada', password } })
  const signIn = ({ address }: ServerProcess) => signInAt(address, 'ada')
  const [good, loggedOut, ended, refreshed] = [
    await signIn(first), await signIn(first), await signIn(first), await signIn(first)
  ]
  t.equal((await ask(first, 'POST /logout', { token: loggedOut.access_token })).status, 200)
  t.equal(
    (await ask(first, `DELETE /me/sessions/${sessionIdOf(ended)}`, { token: good.access_token })).status, 204
  )
  const successor = (await ask(first, 'POST /refresh', { body: { refresh_token: refreshed.refresh_token } }))
    .body as unknown as Pair
  t.equal((await ask(first, 'POST /logout', { token: successor.access_token })).status, 200)
  const revoked = [loggedOut, ended, refreshed, successor]

  let server = first
  for (const way of ['SIGKILL', 'SIGKILL'] as const) {
    server.child.kill(way)
    await server.ended
    server = await startServer(t, env)
    for (const { access_token: token } of revoked) {
      t.match(await ask(server, 'GET /token', { token }), { status: 401, body: { error: 'token_revoked' } }, way)
    }
    t.match(await ask(server, 'POST /refresh', { body: { refresh_token: successor.refresh_token } }), {
      status: 401
    })
    t.equal((await ask(server, 'GET /token', { token: good.access_token })).status, 200)
    const next = await signIn(server)
    t.equal((await ask(server, 'POST /logout', { token: next.access_token })).status, 200, 'and the record goes on')
    revoked.push(next)
  }
})
