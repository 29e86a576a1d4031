import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { Redis } from 'ioredis'
import t from 'tap'
import { entryKey } from '../../src/entries/revocation.ts'
import { packageRoot } from '../../src/package-root.ts'
import { build, serversEnv } from '../support/app.ts'
import { signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { isAccepted } from '../support/sessions.ts'
import { nowSeconds } from '../support/tokens.ts'
import { until } from '../support/wait.ts'
import { fit } from './capacity.ts'
import { readWritten } from './documents.ts'

const page = readFileSync(join(packageRoot, 'docs', 'capacity.md'), 'utf8')
const toNumber = (text: string) => Number(text.replaceAll(',', ''))

/** Computes a sum of the page, which has numbers, brackets and the four operations. */
function reckon (sum: string): number {
  const text = sum.replaceAll(',', '').replaceAll('×', '*')
  if (!/^[\d.()+*/ -]+$/.test(text)) throw new Error(`${sum} is not a sum.`)
  return Number(runInNewContext(text))
}

t.test('the sums in the example of docs/capacity.md have the results that it states', async t => {
  const rows = [...page.matchAll(/^\| [^|]+ \| ([\d,.()+×/ ]+) \| ([\d,.]+) \|$/gm)]
  t.equal(rows.length, 13)
  for (const [, sum = '', result = ''] of rows) {
    t.ok(Math.abs(reckon(sum) / toNumber(result) - 1) < 0.01, `${sum} is ${reckon(sum)}`)
  }
})

t.test('the costs in the example of docs/capacity.md are those of the measured table', async t => {
  const table = readWritten('capacity.md') ?? ''
  for (const cost of [
    '29.9',
    '14,500',
    '1,530',
    '1,340',
    '0.657',
    '9.64',
    '269',
    '5.38',
    '2,170',
    '1,120',
    '1,020',
    '984'
  ]) {
    t.match(table, cost, 'measured anew? reckon the example again')
    t.ok(page.split('## An example')[1]?.includes(cost), cost)
  }
})

t.test('the cost of the log in docs/capacity.md is the one that docs/benchmarks.md states', async t => {
  const benchmarks = readFileSync(join(packageRoot, 'docs', 'benchmarks.md'), 'utf8')
  const [, measured] = /processor time per request\*\*: ([\d.]+) \([\d.]+ to [\d.]+\) ×/.exec(benchmarks) ?? []
  const [, stated = ''] = /costs ([\d.]+) times as much processor time/.exec(page) ?? []
  t.equal(stated, measured)
  t.ok(page.split('## An example')[1]?.includes(`(29.9 × ${stated})`))
  for (const perCore of ['33,400', '30,700']) t.equal(page.split(perCore).length, 3, `${perCore} in text and in a sum`)
})

t.test('a command of look-ups reads as many keys as docs/capacity.md states', async t => {
  const redis = await ownRedis(t)
  const app = await build(t, { ...await serversEnv(t), REDIS_URL: redis.url })
  t.ok(await isAccepted(app, (await signUp(app)).pair), 'the blocklist is trusted')
  const client = new Redis(redis.url)
  const monitor = await client.monitor()
  t.teardown(() => { for (const each of [monitor, client]) each.disconnect() })
  const commands: string[][] = []
  monitor.on('monitor', (_time: string, args: string[]) => { commands.push(args) })
  const { kid } = await app.keyRing.getSigningKey()
  const rows = [...page.matchAll(/^\| (\d+) \| (\d+) keys \| (\d+) keys \|$/gm)]
  t.equal(rows.length, 3)
  for (const [, tokens, reads, without] of rows) {
    const ids = Array.from({ length: Number(tokens) }, () => randomUUID())
    await Promise.all(ids.map(id => app.blocklist.isRevoked({ jti: id, sid: id, auth_time: nowSeconds() }, kid)))
    const findCommand = () => commands.find(args => args.some(arg => arg.endsWith(entryKey('token', String(ids[0])))))
    await until('Redis has told of the command', () => findCommand() !== undefined)
    const [name = '', ...keys] = findCommand() ?? []
    t.same([name.toLowerCase(), keys.length, keys.length - 2], ['mget', Number(reads), Number(without)], `${tokens}`)
  }
})

t.test('the fit separates the cost of a command from the cost of each look-up in it', async t => {
  const found = fit([1, 2, 10, 50].map(together => ({ together, micros: 14 + 57 / together })))
  t.ok(Math.abs(found.eachMicros - 14) < 1 && Math.abs(found.togetherMicros - 57) < 3, JSON.stringify(found))
})
