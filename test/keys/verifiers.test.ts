import { setTimeout } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import {
  createRemoteJWKSet, customFetch, decodeJwt, decodeProtectedHeader, jwtVerify, type JWTVerifyGetKey
} from 'jose'
import t, { type Test } from 'tap'
import type { SigningAlgorithm } from '../../src/db/public-jwk.ts'
import { build, issuer, serversEnv } from '../support/app.ts'
import { signerOf, strangerOf } from '../support/hostile-tokens.ts'
import { inForm } from '../support/form.ts'
import { register, signIn, type Pair } from '../support/people.ts'
import { get, outcome, refresh } from '../support/requests.ts'
import { forge } from '../support/tokens.ts'
import { until } from '../support/wait.ts'
import { createPublishedCache } from './published-cache.ts'

/** For how long keys are rotated, in milliseconds. */
const rotatingMs = inForm({ short: 9_000, long: 15_000 })
/** How much longer that may take on a busy machine, which issues few tokens a second. */
const patienceMs = 120_000
/** The lifetime of a token, in seconds: the keys change several times meanwhile. */
const lifetimeSeconds = 7
/** How long before its end a token is verified again, in milliseconds. */
const beforeEndMs = 2_000

const kidOf = (token: string) => String(decodeProtectedHeader(token).kid)

/** Two replicas, and services that verify their tokens with the published keys alone. */
async function scene (t: Test, algorithm: SigningAlgorithm) {
  const env = {
    ...await serversEnv(t),
    SIGNING_ALGORITHM: algorithm,
    JWKS_MAX_AGE: '1',
    ACCESS_TOKEN_TTL: String(lifetimeSeconds),
    RATE_LIMITS: 'off'
  }
  const apps = [await build(t, env), await build(t, env)] as const
  const addresses = await Promise.all(apps.map(app => app.listen({ port: 0, host: '127.0.0.1' })))
  let asked = 0
  const jose = createRemoteJWKSet(new URL('http://replicas.invalid/.well-known/jwks.json'), {
    cacheMaxAge: 1_000,
    cooldownDuration: 100,
    [customFetch]: (url, options) =>
      fetch(addresses[asked++ % addresses.length] + new URL(url).pathname, options)
  })
  const cache = createPublishedCache(addresses)
  const verifiers: Record<string, JWTVerifyGetKey> = { jose, cache: cache.getKey }
  /** Returns what each verifier says: `ok`, or the code of its error. */
  const verify = (token: string) => Promise.all(Object.values(verifiers).map(getKey =>
    jwtVerify(token, getKey, { issuer, audience: issuer, typ: 'at+jwt', algorithms: [algorithm] })
      .then(() => 'ok', (error: { code?: string }) => error.code ?? String(error))))
  return { apps, verify, cache, count: () => asked }
}

type Scene = Awaited<ReturnType<typeof scene>>

/** Tokens that no verifier may accept: of a stranger, and changed ones. */
function badOf (token: string, algorithm: SigningAlgorithm): string[] {
  const [header = '', , signature] = token.split('.')
  const known = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>
  const claims = decodeJwt(token)
  const stranger = signerOf(algorithm, strangerOf(algorithm))
  const admin = Buffer.from(JSON.stringify({ ...claims, scope: 'user admin' })).toString('base64url')
  return [
    forge(known, claims, stranger),
    forge({ ...known, kid: 'unknown' }, claims, stranger),
    `${header}.${admin}.${signature}`
  ]
}

/** The results of the load. */
interface Seen {
  verified: number
  reverified: number
  kids: Set<string>
  /** Good tokens that were refused, and bad ones that were accepted. */
  faults: string[]
}

/** Signs in and refreshes, and verifies each token at once and before its end, until the signal is aborted. */
async function putLoad (
  { apps, verify }: Scene, algorithm: SigningAlgorithm, seen: Seen, compromised: Set<string>, over: AbortSignal
): Promise<void> {
  const { username } = await register(apps[0])
  const again: Array<Promise<void>> = []
  let pair: Pair | undefined
  for (let turn = 0; !over.aborted; turn++) {
    const app = apps[turn % apps.length] as FastifyInstance
    if (pair === undefined || turn % 10 === 0) pair = await signIn(app, username)
    else pair = (await refresh(app, pair.refresh_token)).json() as Pair
    const token = pair.access_token
    await expectGood(token, 'at once')
    seen.verified++
    for (const bad of badOf(token, algorithm)) {
      if ((await verify(bad)).includes('ok')) seen.faults.push(`accepted: ${bad}`)
    }
    again.push(setTimeout(lifetimeSeconds * 1_000 - beforeEndMs).then(async () => {
      if (await expectGood(token, 'before its end')) seen.reverified++
    }))
    await setTimeout(100)
  }
  await Promise.all(again)

  /** Returns false if the token cannot be judged: its key is compromised, or it expired meanwhile. */
  async function expectGood (token: string, when: string): Promise<boolean> {
    const said = await verify(token)
    for (const app of apps) said.push(outcome(await get(app, '/token', token)))
    const kid = kidOf(token)
    if (compromised.has(kid) || Date.now() / 1_000 >= Number(decodeJwt(token).exp) - 0.1) return false
    seen.kids.add(kid)
    if (said.join() !== 'ok,ok,200,200') seen.faults.push(`refused ${when}: ${said.join()}`)
    return true
  }
}

/** Waits until the spare key may sign: every verifier has it by then. */
async function untilReady ({ apps: [app] }: Scene): Promise<void> {
  await until('the spare key is old enough', async () => {
    const keys = await app.keyAdministration.list()
    return keys.some(({ state, ageSeconds }) => state === 'spare' && ageSeconds > 2)
  }, 30_000, 200)
}

/**
 * Retires the active key as compromised. Expects that every replica refuses its tokens at once, and each verifier once
 * it has renewed its keys.
 */
async function compromise (t: Test, { apps, verify }: Scene, compromised: Set<string>): Promise<() => Promise<void>> {
  const { username } = await register(apps[0])
  const { access_token: token } = await signIn(apps[0], username)
  t.same(await verify(token), ['ok', 'ok'])
  compromised.add(kidOf(token))
  await apps[1].keyAdministration.retire(kidOf(token), true, {})
  for (const app of apps) t.equal((await get(app, '/token', token)).statusCode, 401, 'at once')
  for (const app of apps) {
    await until('each replica publishes the key no longer', async () => {
      const { keys } = (await get(app, '/.well-known/jwks.json')).json() as { keys: Array<{ kid: string }> }
      return keys.every(({ kid }) => kid !== kidOf(token))
    }, 20_000)
  }
  // The key is looked for before the expiry is checked.
  const isUnknown = async () => (await verify(token)).every(said => said === 'ERR_JWKS_NO_MATCHING_KEY')
  await until('each verifier has renewed its keys', isUnknown, 20_000)
  return async () => {
    // A verifier on a busy machine may say something else, such as that the question took too long.
    const said = await verify(token)
    t.notOk(said.includes('ok'), `and no verifier accepts it again: ${said.join()}`)
  }
}

/** Rotates quickly under load, and expects that the verifiers accept every good token, and no bad one. */
async function testRotations (t: Test, algorithm: SigningAlgorithm): Promise<void> {
  const all = await scene(t, algorithm)
  const seen: Seen = { verified: 0, reverified: 0, kids: new Set(), faults: [] }
  const over = new AbortController()
  const compromised = new Set<string>()
  const load = Promise.all([0, 1].map(() => putLoad(all, algorithm, seen, compromised, over.signal)))
  const startedAt = performance.now()
  const isEnough = () => seen.kids.size >= 4 && seen.verified > 20 && seen.reverified > 10
  const isOver = () => performance.now() > startedAt + (isEnough() ? rotatingMs : rotatingMs + patienceMs)
  let rotations = 0
  let expectRefused: (() => Promise<void>) | undefined
  try {
    while (!isOver()) {
      await untilReady(all)
      if (++rotations === 2) expectRefused = await compromise(t, all, compromised)
      else await all.apps[0].keyAdministration.rotate({})
      await setTimeout(300)
      await expectRefused?.()
    }
  } finally {
    over.abort()
    await load
  }
  const { seen: { asked, unchanged, longestSeconds } } = all.cache
  t.comment(`${rotations} rotations, ${seen.verified} tokens, ${seen.reverified} of them twice`)
  t.comment(`${asked} questions, ${unchanged} of them 304; jose asked ${all.count()} times`)
  t.same(seen.faults.slice(0, 5), [])
  t.ok(rotations >= 3 && seen.kids.size >= 3, `${rotations} rotations, ${seen.kids.size} keys`)
  t.ok(seen.verified > 20 && seen.reverified > 10, `${seen.verified} tokens, ${seen.reverified} verified again`)
  t.ok(unchanged > 0 && unchanged < asked, 'the tag is the same for the same keys, and another for others')
  t.ok(longestSeconds <= 1, 'no answer says that it may be kept for longer than JWKS_MAX_AGE')
}

// Both at once: each mostly waits for keys and tokens to become old.
t.test('verifiers with the published keys accept every good token, and no bad one', { jobs: 2 }, async t => {
  await Promise.all((['EdDSA', 'ES256'] as const).map(algorithm =>
    t.test(`verifiers follow quick rotations of ${algorithm}, and accept no bad token`, async t => {
      await testRotations(t, algorithm)
    })))
})
