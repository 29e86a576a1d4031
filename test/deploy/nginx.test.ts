import { text } from 'node:stream/consumers'
import { connect } from 'node:tls'
import t from 'tap'
import { ask } from './ask.ts'
import {
  testHeaders, testKeptConnections, testOwnAnswers, testRepetitions, testReplicas, testStopped
} from './behind-proxy.ts'
import { startFakeReplicas } from './fake-replicas.ts'
import { startNginx } from './proxies.ts'

t.test('nginx never sends a request twice that a replica may have received, unless that is safe', async t => {
  await testRepetitions(t, startNginx)
})

t.test('nginx leaves out a replica that has stopped, and no request fails', async t => {
  await testStopped(t, startNginx)
})

t.test('nginx keeps its connections to the replicas', async t => {
  await testKeptConnections(t, startNginx)
})

t.test('nginx tells replicas the address of the client, and drops what the client claims', async t => {
  await testHeaders(t, startNginx)
})

t.test('nginx answers in JSON with Retry-After when no replica does, and passes their own answers', async t => {
  await testOwnAnswers(t, startNginx)
})

t.test('Behind nginx, replicas see the client\'s address; one stops unnoticed, and one is killed', async t => {
  await testReplicas(t, startNginx)
})

t.test('nginx refuses in JSON what it cannot read, and a body that is too large', async t => {
  const front = await startNginx(t, await startFakeReplicas(t))
  const socket = connect({ port: Number(new URL(front.address).port), host: '127.0.0.1', ca: String(front.ca) })
  socket.write('NOT HTTP\r\n\r\n')
  const malformed = await text(socket)
  t.match(malformed, /^HTTP\/1.1 400 /)
  t.match(malformed, /^content-type: application\/json\r$/im)
  t.equal(JSON.parse(malformed.split('\r\n\r\n')[1] ?? '').error, 'invalid_request')
  const long = await ask(front, 'POST /login', { headers: { 'x-long': 'x'.repeat(40_000) } })
  t.match([long.status, JSON.parse(long.body).error], [400, 'invalid_request'])
  const large = await ask(front, 'POST /login', { body: { password: 'x'.repeat(200_000) } })
  t.match([large.status, JSON.parse(large.body).error], [413, 'payload_too_large'])
})
