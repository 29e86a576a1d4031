import t from 'tap'
import { loadConfig } from '../../src/config.ts'
import { cluster, refusalOf, sentinels, servers, without } from '../support/settings.ts'

const elsewhere = without('REDIS_URL')

t.test('the settings name a single Redis, a primary behind sentinels, or a cluster', async t => {
  const redisOf = (settings: Record<string, string>) =>
    (loadConfig({ ...elsewhere, ...settings }).storage as { redis: unknown }).redis
  t.same(redisOf({ ...sentinels, REDIS_USERNAME: 'service', REDIS_PASSWORD: 'secret', REDIS_TLS_CA: '/ca.pem' }), {
    kind: 'sentinel',
    sentinels: [{ host: 's1.example', port: 26379 }, { host: 's2.example', port: 26380 }],
    masterName: 'mymaster',
    sentinelUser: { username: 'watcher', password: 'hush' },
    user: { username: 'service', password: 'secret' },
    tls: true,
    caFile: '/ca.pem'
  })
  const nodes = [{ host: 'n1.example', port: 7000 }, { host: '::1', port: 7001 }, { host: 'n3.example', port: 6379 }]
  t.same(redisOf(cluster), { kind: 'cluster', nodes, user: {}, tls: false })
  t.match(redisOf({ ...cluster, REDIS_PASSWORD: 'secret' }), { user: { password: 'secret' } })
  t.same(redisOf({ REDIS_CLUSTER_NODES: 'rediss://a%40b:h%3Ash@n1.example' }), {
    kind: 'cluster',
    nodes: [{ host: 'n1.example', port: 6379 }],
    user: { username: 'a@b', password: 'h:sh' },
    tls: true
  })
  t.same(redisOf({ REDIS_URL: 'rediss://redis.example', REDIS_TLS_CA: '/ca.pem' }), {
    kind: 'standalone',
    url: 'rediss://redis.example',
    caFile: '/ca.pem'
  })
})

/** Settings of Redis that contradict each other, and the beginning of the line that says so. */
const { REDIS_MASTER_NAME, REDIS_SENTINELS } = sentinels
const cases: Array<[Record<string, string>, RegExp]> = [
  [
    { ...sentinels, REDIS_URL: servers.REDIS_URL },
    /^REDIS_URL and REDIS_SENTINELS are set: set one of REDIS_URL, REDIS_SENTINELS and REDIS_CLUSTER_NODES,/
  ],
  [{ ...sentinels, ...cluster }, /^REDIS_SENTINELS and REDIS_CLUSTER_NODES are set: set one of/],
  [{ REDIS_SENTINELS }, /^REDIS_MASTER_NAME is not set; with REDIS_SENTINELS it must be/],
  [{ REDIS_MASTER_NAME, REDIS_URL: servers.REDIS_URL }, /^REDIS_MASTER_NAME is set but REDIS_SENTINELS is not/],
  [
    { REDIS_URL: servers.REDIS_URL, REDIS_PASSWORD: 'hush' },
    /^REDIS_PASSWORD goes with REDIS_SENTINELS and REDIS_CLUSTER_NODES; in REDIS_URL/
  ],
  [{ ...cluster, REDIS_USERNAME: 'service' }, /^REDIS_PASSWORD is not set but REDIS_USERNAME is/],
  [
    { REDIS_CLUSTER_NODES: 'rediss://n1,redis://n2' },
    /^REDIS_CLUSTER_NODES has members with rediss:\/\/ and others without/
  ],
  [
    { REDIS_CLUSTER_NODES: 'redis://a:hush@n1,redis://b:hush@n2' },
    /^REDIS_CLUSTER_NODES has members with different users/
  ],
  [
    { REDIS_CLUSTER_NODES: 'redis://a:hush@n1', REDIS_PASSWORD: 'hush' },
    /^REDIS_PASSWORD is set, and REDIS_CLUSTER_NODES has a password too/
  ],
  [
    { ...cluster, REDIS_TLS_CA: '/ca.pem' },
    /^REDIS_TLS_CA is set but REDIS_CLUSTER_NODES does not begin with rediss:\/\//
  ]
]

t.test('double, partial or contradictory settings of Redis are refused with one line and the cure', async t => {
  for (const [settings, line] of cases) {
    const message = refusalOf({ ...elsewhere, ...settings })
    t.match(message, line)
    t.notMatch(message, 'hush')
    t.notMatch(message, '\n')
  }
  t.match(
    refusalOf({ ...cluster, ISSUER: 'https://auth.example.com' }),
    /^DATABASE_URL is not set but REDIS_CLUSTER_NODES is: /
  )
  t.match(
    refusalOf({ REDIS_PASSWORD: 'hush' }),
    /^REDIS_PASSWORD is set but none of REDIS_URL, REDIS_SENTINELS and REDIS_CLUSTER_NODES is\.$/
  )
})
