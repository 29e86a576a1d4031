import t from 'tap'
import { until } from '../support/wait.ts'
import { ask } from './ask.ts'
import {
  testHeaders, testKeptConnections, testOwnAnswers, testRepetitions, testReplicas, testStopped, untilAllAreUsed
} from './behind-proxy.ts'
import { startFakeReplicas } from './fake-replicas.ts'
import { startHaproxy } from './proxies.ts'

t.test('HAProxy never sends a request twice that a replica may have received, unless that is safe', async t => {
  await testRepetitions(t, startHaproxy)
})

t.test('HAProxy leaves out a replica that has stopped, and no request fails', async t => {
  await testStopped(t, startHaproxy)
})

t.test('HAProxy keeps its connections to the replicas', async t => {
  await testKeptConnections(t, startHaproxy)
})

t.test('HAProxy tells replicas the address of the client, and drops what the client claims', async t => {
  await testHeaders(t, startHaproxy)
})

t.test('HAProxy answers in JSON with Retry-After when no replica does, and passes their own answers', async t => {
  await testOwnAnswers(t, startHaproxy)
})

t.test('Behind HAProxy, replicas see the client\'s address; one stops unnoticed, and one is killed', async t => {
  await testReplicas(t, startHaproxy)
})

t.test('HAProxy sends nothing to a replica that is not ready', async t => {
  const fakes = await startFakeReplicas(t)
  const [draining = '', other] = fakes.hosts
  const front = await startHaproxy(t, fakes)
  await untilAllAreUsed(front, fakes)
  fakes.unready.add(draining)
  await until('the draining replica is left out', async () => {
    fakes.received = []
    for (let number = 0; number < 6; number++) await ask(front, 'POST /login', { body: {} })
    return fakes.received.every(({ host }) => host === other)
  }, 30_000)
  fakes.unready.clear()
  await untilAllAreUsed(front, fakes)
  t.pass('it is used again once it is ready')
})
