import Fastify from 'fastify'
import fp from 'fastify-plugin'
import type { Test } from 'tap'
import outages from '../../plugins/outages.ts'
import rateLimits from '../../plugins/rate-limits.ts'
import readiness from '../../plugins/readiness.ts'
import { loadConfig } from '../../src/config.ts'
import type { Limits } from '../../src/limits/limits.ts'
import { issuer, patient, secret, type Env } from '../support/app.ts'
import { postgresUrl, redisUrl, scratchPrefix } from '../support/services.ts'

export const strange = async () => false
export const known = async () => true
export const ip = (last: number) => `203.0.113.${last}`

/** The name of the limit that refuses a guess. Undefined when the guess was admitted: it is a wrong one then. */
export async function refusalOf (
  limits: Limits, account: string, ip: string | undefined, isKnownPlace: () => Promise<boolean> = strange
): Promise<string | undefined> {
  return await limits.attemptPassword({ account, ip, isKnownPlace }).then(
    attempt => attempt.fail(), error => error.limit.name
  )
}

/** Opens the limits of the service, in an app that has nothing else: they need no database. */
export async function openLimits (t: Test, env: Env): Promise<Limits> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fp(async app => { app.decorate('rootSecret', Buffer.from(secret)) }, { name: 'secrets' }))
  await app.register(readiness)
  await app.register(outages)
  await app.register(rateLimits, { config: loadConfig({ ISSUER: issuer, ...env }) })
  return app.limits
}

export const serversEnv = (t: Test): Env => ({
  KEY_ENCRYPTION_SECRET: secret,
  DATABASE_URL: postgresUrl(),
  REDIS_URL: redisUrl(),
  BLOCKLIST_PREFIX: scratchPrefix(t),
  ...patient
})

/** Both storages, and where there are replicas, two of them that take turns. */
export async function onEachLimits (
  t: Test, settings: Env, test: (t: Test, limits: Limits) => Promise<void>
): Promise<void> {
  await t.test('embedded', async t => { await test(t, await openLimits(t, settings)) })
  await t.test('Redis', async t => { await test(t, await openLimits(t, { ...serversEnv(t), ...settings })) })
  await t.test('two replicas', async t => {
    const env = { ...serversEnv(t), ...settings }
    await test(t, inTurn(await openLimits(t, env), await openLimits(t, env)))
  })
}

function inTurn (...replicas: Limits[]): Limits {
  let turn = 0
  const next = () => replicas[turn++ % replicas.length] as Limits
  return {
    attemptPassword: guess => next().attemptPassword(guess),
    login: userId => next().login(userId),
    register: ip => next().register(ip),
    refresh: session => next().refresh(session),
    attemptClient: (ip, authenticate) => next().attemptClient(ip, authenticate)
  }
}
