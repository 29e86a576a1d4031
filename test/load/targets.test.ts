import { createServer } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import t from 'tap'
import { inventPeople, signUpPeople } from '../../scripts/load/people.ts'
import { closeTargets, openTargets } from '../../scripts/load/targets.ts'
import { build, serversEnv } from '../support/app.ts'
import { brokenReplica, listen } from '../support/load.ts'

const never = new AbortController().signal
/** A signout that lets two users sign up. */
const app = await build(t, { ...await serversEnv(t), LIMIT_REGISTER_BY_IP: '2/3600' })
const address = await app.listen({ port: 0 })

/** Returns the error of targets that cannot be opened, or `opened`. */
async function refused (urls: string[], ownsTarget = false): Promise<string> {
  try {
    await closeTargets(await openTargets(urls.map(url => new URL(url)), { users: 1, ownsTarget }))
    return 'opened'
  } catch (error) {
    return (error as Error).message
  }
}

t.test('a target that is not this machine is refused, in every form of its address', async t => {
  t.match(
    await refused(['http://192.0.2.1:3000']),
    '192.0.2.1 is not this machine: to load what is yours elsewhere, add --i-own-this-target.'
  )
  t.match(await refused(['http://[2001:db8::1]:3000']), '[2001:db8::1] is not this machine')
  t.match(await refused(['http://[::ffff:192.0.2.1]:3000']), 'is not this machine')
  t.match(await refused(['http://0.0.0.0:3000']), 'is not this machine')
  t.match(
    await refused(['http://nowhere.invalid']), /^nowhere\.invalid cannot be resolved \(E\w+\): correct --target\.$/
  )
  for (const url of [
    'http://127.9.9.9:1', 'http://[::1]:1', 'http://[::ffff:127.0.0.1]:1', 'http://localhost:1', 'http://2130706433:1'
  ]) {
    t.match(await refused([url]), 'Nothing listens at', url)
  }
  t.match(await refused(['http://127.0.0.1:1'], true), 'Nothing listens at')
})

t.test('a host name is resolved once: all its addresses must be local, and requests go to them', async t => {
  const port = new URL(address).port
  const open = async (...addresses: string[]) => {
    const asked: string[] = []
    const lookup = async (host: string) => {
      asked.push(host)
      return addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
    }
    return {
      targets: await openTargets([new URL(`http://signout.invalid:${port}`)], { users: 1, ownsTarget: false, lookup }),
      asked
    }
  }
  await t.rejects(open('192.0.2.1'), {
    message:
      'signout.invalid is 192.0.2.1, which is not this machine: to load what is yours elsewhere, add --i-own-this-target.'
  })
  await t.rejects(open('127.0.0.1', '192.0.2.1'), {
    message: /^signout\.invalid is 192\.0\.2\.1, which is not this machine/
  })
  await t.rejects(open('::1', '2001:db8::1'), {
    message: /^signout\.invalid is 2001:db8::1, which is not this machine/
  })
  const { targets, asked } = await open('127.0.0.1')
  t.teardown(() => closeTargets(targets))
  for (const client of targets.flatMap(({ load, check }) => [load, check])) {
    t.match(await client.send({ method: 'GET', path: '/health/live' }), { status: 200 }, 'no resolver knows that name')
  }
  t.same(asked, ['signout.invalid'])
})

t.test('a target that is no signout, is not ready, redirects or needs TLS is refused with a sentence', async t => {
  const page = await listen(t, createServer((_request, response) => { response.end('hello') }))
  t.equal(
    await refused([page]),
    `${page} is no signout: GET /token without a token was answered 200, where 401 authorization_required was expected.`
  )
  const elsewhere = await listen(
    t,
    createServer((_request, response) => { response.writeHead(308, { location: 'https://example.com/token' }).end() })
  )
  t.equal(
    await refused([elsewhere]),
    `${elsewhere} redirects to https://example.com/token: give the address itself, redirects are not followed.`
  )
  const notPlain = createTcpServer(socket => {
    socket.once('data', () => { socket.end(Buffer.from([0x15, 3, 1, 0, 2, 2, 0x16])) })
  })
  await new Promise<void>(resolve => { notPlain.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { notPlain.close() })
  t.match(
    await refused([`http://127.0.0.1:${(notPlain.address() as AddressInfo).port}`]),
    /does not speak plain HTTP \(\w+\): where it needs TLS, write https:\/\/ instead of http:\/\/\.$/
  )
  t.match(
    await refused([page.replace('http:', 'https:')]), /does not speak TLS: write http:\/\/ instead of https:\/\/\.$/
  )
  const unready = await brokenReplica(t, address, (answer, { url }) =>
    url === '/health/ready' ? { status: 503, body: '{"error":"service_unavailable"}' } : answer
  )
  t.equal(
    await refused([unready]),
    `${unready} is not ready: GET /health/ready was answered 503: {"error":"service_unavailable"}`
  )
})

t.test('a target with rate limits stops the sign-ups with an explanation', async t => {
  const targets = await openTargets([new URL(address)], { users: 20, ownsTarget: false })
  t.teardown(() => closeTargets(targets))
  await t.rejects(signUpPeople(inventPeople(20), { targets, signal: never, onProgress: () => {} }), {
    message:
      `${address} answers POST /register with 429, since its limits on guessing passwords are on: start it with RATE_LIMITS=off, on a closed network only.`
  })
})
