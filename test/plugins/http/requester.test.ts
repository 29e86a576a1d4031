import Fastify from 'fastify'
import t, { type Test } from 'tap'
import requester, { trustProxies } from '../../../plugins/http/requester.ts'
import { serializeRequest } from '../../../plugins/http/log-serializers.ts'
import { keepLog } from '../../support/log.ts'
import { send } from '../../support/requests.ts'

const proxy = '10.0.0.1'

/** An app behind proxies in 10.0.0.0/8 and fd00::/8, the address that it finds for a request, and what it logs. */
function behindProxies (t: Test) {
  const log = keepLog()
  const clock = { nowMs: 0 }
  const app = Fastify({
    logger: { ...log.logger, level: 'warn' }, trustProxy: trustProxies(['10.0.0.0/8', 'fd00::/8', '192.0.2.1'])
  })
  app.register(requester, { now: () => clock.nowMs })
  app.get('/', async request => ({ ip: request.requester.ip ?? null, logged: serializeRequest(request).remoteAddress }))
  t.teardown(() => app.close())
  const ask = async (forwarded: string, remoteAddress = proxy) =>
    (await send(app, 'GET /', { headers: { 'x-forwarded-for': forwarded }, remoteAddress })).json() as {
      ip: string | null, logged: string
    }
  return { ask, warnings: log.lines, clock }
}

t.test('an address is read with a port and in brackets, as the gateway of Azure sends it', async t => {
  const { ask, warnings } = behindProxies(t)
  for (const [sent, ip] of [
    ['203.0.113.7', '203.0.113.7'],
    ['203.0.113.7:51234', '203.0.113.7'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['[2001:DB8:0::1]', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['[::ffff:203.0.113.7]:80', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['[fe80::1%eth0]:80', 'fe80::1'],
    ['fe80::1%a-b', 'fe80::1']
  ] as const) t.same(await ask(sent), { ip, logged: ip }, sent)
  t.same(warnings(), [])
})

t.test('a proxy is recognised with a port too, and addresses that a client forges are ignored', async t => {
  const { ask } = behindProxies(t)
  for (const [sent, ip] of [
    ['198.51.100.9, 203.0.113.7:51234', '203.0.113.7'],
    ['198.51.100.9, 203.0.113.7:51234, 10.0.0.2:443', '203.0.113.7'],
    ['198.51.100.9, 203.0.113.7, [fd00::2]:443, [::ffff:10.0.0.3]:1', '203.0.113.7'],
    ['10.0.0.9, 203.0.113.7:1', '203.0.113.7'],
    ['203.0.113.7, 192.0.2.1:80', '203.0.113.7'],
    ['198.51.100.9, 192.0.2.10', '192.0.2.10']
  ] as const) t.equal((await ask(sent)).ip, ip, sent)
  t.equal((await ask('203.0.113.7:51234', '192.0.2.7')).ip, '192.0.2.7', 'one who is no proxy is not believed')
})

t.test('an invalid address is logged once a minute with its source', async t => {
  const { ask, warnings, clock } = behindProxies(t)
  const noAddresses = [
    'unknown', '_hidden', '203.0.113.256', '203.0.113.7:x', '203.0.113.7:', '[2001:db8::1', '010.0.0.1', '1', '0x7f.1',
    'x'.repeat(300), '198.51.100.9, nothing, 10.0.0.2:443'
  ]
  for (const sent of noAddresses) t.equal((await ask(sent)).ip, null, sent)
  t.equal(warnings().length, 1)
  t.match(warnings(), [
    { level: 40, address: 'unknown', source: proxy, msg: /^X-Forwarded-For holds no IP address\. / }
  ])
  clock.nowMs = 59_999
  await ask('x'.repeat(300))
  t.equal(warnings().length, 1)
  clock.nowMs = 60_000
  await ask(`198.51.100.9, ${'x'.repeat(300)}, 10.0.0.2:443`)
  t.equal(warnings().length, 2)
  t.match(warnings()[1], { address: 'x'.repeat(100), source: '10.0.0.2:443' })
})
