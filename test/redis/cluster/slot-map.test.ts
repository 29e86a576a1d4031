import type { Redis } from 'ioredis'
import t from 'tap'
import { createSlotMap } from '../../../src/redis/cluster/slot-map.ts'
import { formatAddress, type RedisAddress } from '../../../src/redis/topology.ts'
import { until } from '../../support/wait.ts'

const seed = { host: 'seed', port: 1 }
const staying = { host: 'staying', port: 1 }
const leaving = { host: 'leaving', port: 1 }

t.test('a node that has left the cluster is not asked any more, and the seeds always are', async t => {
  let members: RedisAddress[] = [staying, leaving]
  let asked: string[] = []
  const map = createSlotMap({
    nodes: [seed],
    connect (node) {
      const connection = {
        connect: async () => { asked.push(formatAddress(node)) },
        cluster: async () => [[0, 16_383, ...members.map(({ host, port }) => [host, port])]],
        disconnect () {}
      }
      return connection as unknown as Redis
    }
  })
  t.teardown(() => { map.stop() })
  await map.start()
  async function askOften (): Promise<Set<string>> {
    asked = []
    await until('several were asked', () => { map.doubt(); return asked.length >= 5 })
    return new Set(asked)
  }
  t.ok((await askOften()).has('leaving:1'))
  members = [staying]
  // The map may still have the node that has left.
  await askOften()
  t.same([...await askOften()].sort(), ['seed:1', 'staying:1'])
})
