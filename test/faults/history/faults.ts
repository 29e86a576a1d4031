import { setTimeout as sleep } from 'node:timers/promises'
import { canReplicate } from '../../support/redis-server.ts'
import { pick, type Draw } from '../../support/draw.ts'
import { proxyTo, type Proxy } from '../../support/proxy.ts'
import type { Owner } from '../../support/teardown.ts'
import { until } from '../../support/wait.ts'
import type { Spell } from './operations.ts'
import type { World } from './world.ts'

/** The surroundings of a fault. */
export interface Scene {
  world: World
  draw: Draw
  /** Closes what was opened for the fault when the fault is over. */
  owner: Owner
  now (): number
  partitions: Spell[]
}

/** A fault that may happen at random. Faults on different things may happen together. */
export interface Fault {
  title: string
  on: 'Redis' | 'the network to Redis' | 'Postgres' | 'the network to Postgres' | 'a replica' | 'everything'
  /** One draw in so many lets it happen (default: 1). Faults that take long are rare. */
  rarity?: number
  isPossible? (world: World): boolean
  /** Lets it happen, and returns the function that heals it. */
  begin (scene: Scene): Promise<() => Promise<unknown> | unknown>
}

const some = ({ world, draw }: Scene) => draw(2) === 0 ? world.replicas : [pick(draw, world.replicas)]

/** Returns the faults of the network between one replica, or all of them, and a server. */
function onNetwork (to: 'redis' | 'postgres'): Fault[] {
  const name = to === 'redis' ? 'Redis' : 'Postgres'
  const on = `the network to ${name}` as const
  const fault = (title: string, begin: (proxies: Proxy[], scene: Scene) => () => void): Fault => ({
    title: title.replace('$', name),
    on,
    begin: async scene => begin(some(scene).map(replica => replica[to]), scene)
  })
  const each = (proxies: Proxy[], work: (proxy: Proxy) => void) => { for (const proxy of proxies) work(proxy) }
  return [
    fault('$ is unreachable from replicas (black hole)', proxies => {
      each(proxies, proxy => { proxy.stall() })
      return () => { each(proxies, proxy => { proxy.resume() }) }
    }),
    fault('connections from replicas to $ are refused', proxies => {
      each(proxies, proxy => { proxy.stop() })
      return () => { each(proxies, proxy => { proxy.start() }) }
    }),
    fault('connections from replicas to $ are reset', proxies => {
      each(proxies, proxy => { proxy.reset() })
      return () => {}
    }),
    fault('connections from replicas to $ are half open (closed at the server\'s end, without notice)', proxies => {
      each(proxies, proxy => { proxy.halfOpen() })
      return () => {}
    }),
    fault('$ executes commands, but its replies are lost', proxies => {
      each(proxies, proxy => { proxy.loseReplies() })
      return () => { each(proxies, proxy => { proxy.keepReplies() }) }
    }),
    fault('the network to $ is slow', (proxies, { draw }) => {
      const ms = 5 + draw(to === 'redis' ? 300 : 60)
      each(proxies, proxy => { proxy.delay(ms) })
      return () => { each(proxies, proxy => { proxy.delay(0) }) }
    })
  ]
}

const admin = ({ world }: Scene) => world.redis.primary.admin

const onRedis: Fault[] = [
  {
    title: 'Redis stalls (SIGSTOP)',
    on: 'Redis',
    async begin ({ world: { redis: { primary } } }) {
      primary.pause()
      return () => { primary.resume() }
    }
  },
  {
    title: 'Redis is killed, and restarts without data',
    on: 'Redis',
    async begin ({ world: { redis: { primary } } }) {
      await primary.kill()
      return () => primary.start()
    }
  },
  {
    title: 'Redis is killed, and restarts with an old snapshot',
    on: 'Redis',
    async begin ({ world: { redis: { primary } }, draw }) {
      const snapshot = await primary.snapshot()
      await sleep(draw(2_000))
      await primary.kill()
      return () => primary.start(snapshot)
    }
  },
  {
    title: 'Redis loses all data up to three times (FLUSHALL)',
    on: 'Redis',
    async begin (scene) {
      for (let times = 1 + scene.draw(3); times > 0; times--) {
        await admin(scene).flushall()
        await sleep(scene.draw(400))
      }
      return () => {}
    }
  },
  {
    title: 'Redis is full (CONFIG SET maxmemory, noeviction)',
    on: 'Redis',
    async begin (scene) {
      await admin(scene).config('SET', 'maxmemory', '1')
      return () => admin(scene).config('SET', 'maxmemory', '0')
    }
  },
  {
    title: 'Redis has too few Redis replicas to accept writes (CONFIG SET min-replicas-to-write)',
    on: 'Redis',
    async begin (scene) {
      await admin(scene).config('SET', 'min-replicas-to-write', '3')
      return () => admin(scene).config('SET', 'min-replicas-to-write', '0')
    }
  },
  {
    title: 'Redis delays all commands, or all writes (CLIENT PAUSE)',
    on: 'Redis',
    async begin (scene) {
      // With ALL, UNPAUSE waits as well: such a pause ends automatically.
      if (scene.draw(2) === 0) await admin(scene).call('CLIENT', 'PAUSE', 500 + scene.draw(2_000), 'ALL')
      else await admin(scene).call('CLIENT', 'PAUSE', 10_000, 'WRITE')
      return () => admin(scene).client('UNPAUSE')
    }
  },
  {
    title: 'Redis closes every connection (CLIENT KILL)',
    on: 'Redis',
    async begin (scene) {
      await admin(scene).call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      return () => {}
    }
  },
  {
    title: 'eviction is switched on, and off again (CONFIG SET maxmemory-policy)',
    on: 'Redis',
    rarity: 8,
    async begin (scene) {
      await admin(scene).config('SET', 'maxmemory-policy', 'allkeys-lru')
      // The audit looks for it every ten seconds.
      await sleep(11_000)
      return () => admin(scene).config('SET', 'maxmemory-policy', 'noeviction')
    }
  },
  {
    title: 'Redis fails over to a Redis replica that does not lag',
    on: 'Redis',
    isPossible: () => canReplicate,
    begin: scene => failOver(scene, 0)
  },
  {
    title: 'Redis fails over to a Redis replica that lags',
    on: 'Redis',
    isPossible: () => canReplicate,
    begin: scene => failOver(scene, 200 + scene.draw(2_000))
  }
]

/** Makes a copy of the primary, cuts it off for a while, and then promotes it. */
async function failOver ({ world: { redis, replicas }, owner }: Scene, lagMs: number): Promise<() => Promise<unknown>> {
  const { primary, other: copy } = redis
  await copy.start()
  const link = await proxyTo(owner, '127.0.0.1', primary.port)
  await primary.admin.config('SET', 'repl-diskless-sync-delay', '0')
  await copy.admin.replicaof('127.0.0.1', link.port)
  const isInStep = async () => /master_link_status:up/.test(await copy.admin.info('replication'))
  await until('the copy is in step', isInStep, 20_000)
  if (lagMs > 0) link.stall()
  await sleep(lagMs)
  await primary.kill()
  return async () => {
    await copy.admin.replicaof('NO', 'ONE')
    for (const replica of replicas) replica.redis.lead(copy.port)
    redis.primary = copy
    redis.other = primary
  }
}

const onOthers: Fault[] = [
  {
    title: 'Postgres stalls (SIGSTOP)',
    on: 'Postgres',
    isPossible: ({ postgres }) => postgres !== undefined,
    async begin ({ world: { postgres } }) {
      postgres?.pause()
      return () => { postgres?.resume() }
    }
  },
  {
    title: 'Postgres is killed and restarted',
    on: 'Postgres',
    isPossible: ({ postgres }) => postgres !== undefined,
    async begin ({ world: { postgres } }) {
      await postgres?.kill()
      return () => postgres?.start()
    }
  },
  {
    title: 'a replica stalls (SIGSTOP)',
    on: 'a replica',
    async begin ({ world, draw }) {
      const replica = pick(draw, world.replicas)
      replica.pause()
      return () => { replica.resume() }
    }
  },
  {
    title: 'a replica is killed and restarted',
    on: 'a replica',
    async begin ({ world, draw }) {
      const replica = pick(draw, world.replicas)
      await replica.kill()
      return replica.start
    }
  },
  {
    title: 'one replica reaches only a Redis that was replaced',
    on: 'everything',
    rarity: 2,
    isPossible: () => canReplicate,
    async begin ({ world: { redis, replicas }, draw, now, partitions }) {
      const left = pick(draw, replicas)
      await redis.other.start()
      const spell = { replica: left.name, from: now(), until: Infinity }
      partitions.push(spell)
      for (const replica of replicas) if (replica !== left) replica.redis.lead(redis.other.port)
      return async () => {
        left.redis.lead(redis.other.port)
        spell.until = now()
        await redis.primary.kill();
        [redis.primary, redis.other] = [redis.other, redis.primary]
      }
    }
  }
]

/** All faults that may happen at random. */
export const faults: Fault[] = [...onRedis, ...onNetwork('redis'), ...onNetwork('postgres'), ...onOthers]
