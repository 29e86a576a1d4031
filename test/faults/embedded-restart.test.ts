import { decodeJwt } from 'jose'
import t from 'tap'
import { embeddedEnv } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { bearer, password, type Pair } from '../support/people.ts'
import { startServer, type ServerProcess } from '../support/server-process.ts'
import { serviceRows } from './rows/service.ts'

async function send (
  server: ServerProcess, method: string, path: string, token?: string, body?: object
): Promise<{ status: number, body: Record<string, unknown> }> {
  const answer = await fetch(server.address + path, {
    method,
    headers: { ...token && bearer(token), ...body && { 'content-type': 'application/json' } },
    ...body && { body: JSON.stringify(body) }
  })
  const text = await answer.text()
  return { status: answer.status, body: text === '' ? {} : JSON.parse(text) as Record<string, unknown> }
}

testFault(t, serviceRows.embeddedKilled, async t => {
  const env = await embeddedEnv(t)
  const first = await startServer(t, env)
  await send(first, 'POST', '/register', undefined, { username: 'ada', password })
  const signIn = async (server: ServerProcess) =>
    (await send(server, 'POST', '/login', undefined, { username: 'ada', password })).body as unknown as Pair
  const [good, loggedOut, ended, refreshed] = [
    await signIn(first), await signIn(first), await signIn(first), await signIn(first)
  ]
  t.equal((await send(first, 'POST', '/logout', loggedOut.access_token)).status, 200)
  t.equal(
    (await send(first, 'DELETE', `/me/sessions/${String(decodeJwt(ended.access_token)['sid'])}`, good.access_token))
      .status,
    204
  )
  const successor = (await send(first, 'POST', '/refresh', undefined, { refresh_token: refreshed.refresh_token }))
    .body as unknown as Pair
  t.equal((await send(first, 'POST', '/logout', successor.access_token)).status, 200)
  const revoked = [loggedOut, ended, refreshed, successor]

  let server = first
  for (const way of ['SIGKILL', 'SIGKILL'] as const) {
    server.child.kill(way)
    await server.ended
    server = await startServer(t, env)
    for (const { access_token: token } of revoked) {
      t.match(await send(server, 'GET', '/token', token), { status: 401, body: { error: 'token_revoked' } }, way)
    }
    t.match(await send(server, 'POST', '/refresh', undefined, { refresh_token: successor.refresh_token }), {
      status: 401
    })
    t.equal((await send(server, 'GET', '/token', good.access_token)).status, 200)
    const next = await signIn(server)
    t.equal((await send(server, 'POST', '/logout', next.access_token)).status, 200, 'and the record goes on')
    revoked.push(next)
  }
})
