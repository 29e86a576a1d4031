import t from 'tap'
import { createMender } from '../../src/blocklist/mender.ts'
import { createBlocklistEvents } from '../../src/events/blocklist-events.ts'
import type { Projection } from '../../src/record/projection.ts'
import { until } from '../support/wait.ts'

function scene () {
  const tries = { count: 0, fail: 0 }
  const suspended: Array<string | undefined> = []
  const events = createBlocklistEvents()
  let resets = 0
  events.on('shardReset', () => { resets++ })
  const projection = {
    async forgetMarker () { if (++tries.count <= tries.fail) throw new Error('MOVED') }
  } as Projection
  const mender = createMender({ projection, standing: { suspend: reason => { suspended.push(reason) } }, events })
  return { mender, tries, suspended, resets: () => resets }
}

t.test('a moved shard is untrusted until its marker is deleted, which is retried until it succeeds (P2)', async t => {
  const { mender, tries, suspended, resets } = scene()
  t.teardown(() => { mender.stop() })
  tries.fail = 2
  t.equal(mender.mend('It was moved.'), true)
  t.equal(mender.mend('It was moved again.'), false, 'it is under way')
  t.same(suspended, ['It was moved.'], 'at once')
  await until('the marker is gone', () => resets() === 1)
  t.same([tries.count, suspended], [3, ['It was moved.', undefined]])
  t.equal(mender.mend('It was moved later.'), true, 'the next move begins anew')
  await until('the marker is gone again', () => resets() === 2)
})

t.test('a stopped mender does nothing, even if a closing connection looks like a move', async t => {
  const { mender, tries, suspended } = scene()
  mender.stop()
  t.equal(mender.mend('The connection closed.'), false)
  await new Promise(resolve => { setTimeout(resolve, 20) })
  t.same([tries.count, suspended], [0, []])
})
