import fastifyJwt, { type FastifyJWTOptions } from '@fastify/jwt'
import Fastify, { type FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import { existsSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import type * as Signout from '../../plugins/auth/auth.ts'
import { issuer, maxRememberedTokens, type Keys } from './tokens.ts'

/** The variants that are compared. They differ only in the guard of one route. */
export const variants = {
  open: 'no authentication',
  jwt: '@fastify/jwt alone',
  exists: '@fastify/jwt and one EXISTS per request',
  pipelined: '@fastify/jwt and one EXISTS per request, auto-pipelined',
  signout: 'signout, all checks on'
} as const
export type VariantName = keyof typeof variants

export interface VariantOptions {
  variant: VariantName
  keys: Keys
  redisUrl: string
  prefix: string
  /** Another compiled checkout of signout, to compare with this one. */
  build?: string
}

/** The leeway of every variant that verifies tokens. */
const leewaySeconds = 5
/** Longer than usual, because the load may delay Redis on a busy machine. A 503 would make the measurement fail. */
const deadlineMs = 5_000

export async function buildVariant (options: VariantOptions): Promise<FastifyInstance> {
  const app = Fastify() as unknown as FastifyInstance
  const onRequest = await guards[options.variant](app, options)
  app.get('/me', { ...onRequest && { onRequest } }, async () => ({ hello: 'world' }))
  return app
}

type Guard = (app: FastifyInstance, options: VariantOptions) => Promise<FastifyInstance['authenticate'] | undefined>

const guards: Record<VariantName, Guard> = {
  open: async () => undefined,
  jwt: async (app, { keys }) => {
    await app.register(fastifyJwt, jwtOptions(keys))
    return async request => { await request.jwtVerify() }
  },
  exists: async (app, { keys, redisUrl, prefix }) => await checkWithExists(app, keys, new Redis(redisUrl), prefix),
  pipelined: async (app, { keys, redisUrl, prefix }) =>
    await checkWithExists(app, keys, new Redis(redisUrl, { enableAutoPipelining: true }), prefix),
  signout: async (app, { keys, redisUrl, prefix, build }) => {
    const {
      default: auth, createMemoryBlocklist, createRedisBlocklist, createRedisConnection
    } = await importSignout(build)
    // An older build takes the deadline and the leeway in several places.
    const isOlder = !('leewaySeconds' in createMemoryBlocklist({ leewaySeconds }))
    const redis = createRedisConnection(redisUrl, { ...isOlder && { deadlineMs } } as object)
    await redis.connect()
    const blocklist = createRedisBlocklist({ redis, prefix, leewaySeconds, deadlineMs })
    await blocklist.ready()
    const { verify: { clockTolerance, ...verify }, ...jwt } = jwtOptions(keys)
    await app.register(auth, {
      blocklist,
      ...isOlder && { deadlineMs },
      jwt: { ...jwt, verify: { ...verify, ...isOlder && { clockTolerance } } }
    })
    return app.authenticate
  }
}

/** Registers the usual hand-written check: one `EXISTS` per request. */
async function checkWithExists (
  app: FastifyInstance, keys: Keys, redis: Redis, prefix: string
): Promise<FastifyInstance['authenticate']> {
  await app.register(fastifyJwt, {
    ...jwtOptions(keys),
    trusted: async (_request, { jti }) => await redis.exists(`${prefix}jti:${jti}`) === 0
  })
  return async request => { await request.jwtVerify() }
}

function jwtOptions ({ algorithm, verifying, signing }: Keys) {
  return {
    secret: algorithm === 'HS256' ? verifying : { public: verifying, private: signing },
    sign: { algorithm },
    verify: {
      algorithms: [algorithm],
      allowedIss: issuer,
      allowedAud: issuer,
      checkTyp: 'at+jwt',
      clockTolerance: leewaySeconds * 1000,
      cache: maxRememberedTokens
    }
  } satisfies FastifyJWTOptions
}

async function importSignout (build = join(import.meta.dirname, '..', '..')): Promise<typeof Signout> {
  // An older build has no folder for the plugin.
  const file = ['plugins/auth/auth.js', 'plugins/auth.js'].map(path => join(build, path)).find(existsSync)
  if (file === undefined) {
    throw new Error(`${build} contains no build. Compile it: npx tsc -p tsconfig.build.json --outDir ${build}`)
  }
  return await import(pathToFileURL(file).href) as typeof Signout
}
