import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { build, serversEnv, type Env } from '../support/app.ts'
import { letSpareAge } from '../support/keys.ts'
import { password, signIn, signUp, signUpAdmin, type Pair } from '../support/people.ts'
import { expectError, get, logOut, refresh, send } from '../support/requests.ts'

const secrets = ['first', 'second', 'third'].map(name => `the ${name} secret, of more than 32 bytes`)

/** A replica, and the number of clients that wait for an answer of it. */
interface Replica { app: FastifyInstance, waiting: number }

/** Three replicas behind a balancer, which can be replaced one after another. */
async function startReplicas (t: Test, env: Env) {
  const start = async (changes: Env): Promise<Replica> => ({ app: await build(t, { ...env, ...changes }), waiting: 0 })
  let turn = 0
  const replicas: Replica[] = []
  /** Lets one replica rotate. The spare key is made old enough: this is not a test of caches. */
  const rotate = async () => {
    const { app } = replicas[turn++ % replicas.length] as Replica
    await letSpareAge(app)
    await app.keyAdministration.rotate({})
  }
  for (let count = 0; count < 3; count++) replicas.push(await start({ KEY_ENCRYPTION_SECRET: String(secrets[0]) }))
  return {
    /** Sends a request to the next replica. */
    async use<T> (work: (app: FastifyInstance) => Promise<T>): Promise<T> {
      const replica = replicas[turn++ % replicas.length] as Replica
      replica.waiting++
      try { return await work(replica.app) } finally { replica.waiting-- }
    },
    /** Replaces one replica after another, each once its clients have their answers, with a rotation after each. */
    async restart (changes: Env): Promise<void> {
      for (const [index, old] of replicas.entries()) {
        replicas[index] = await start(changes)
        while (old.waiting > 0) await new Promise(setImmediate)
        await old.app.close()
        await rotate()
      }
    }
  }
}

type Replicas = Awaited<ReturnType<typeof startReplicas>>

/** A client that stays signed in until the end, and sends each request to another replica. */
async function stayIn (replicas: Replicas, signal: AbortSignal, seen: Map<string, number>): Promise<Pair> {
  const { username, pair: first } = await replicas.use(signUp)
  let pair = first
  const count = (what: string, statusCode: number) => {
    const name = `${what} ${statusCode}`
    seen.set(name, (seen.get(name) ?? 0) + 1)
  }
  while (!signal.aborted) {
    count('GET /me', (await replicas.use(app => get(app, '/me', pair.access_token))).statusCode)
    const spent = pair.refresh_token
    const refreshed = await replicas.use(app => refresh(app, spent))
    const repeated = await replicas.use(app => refresh(app, spent))
    for (const { statusCode } of [refreshed, repeated]) count('refresh', statusCode)
    const pairs = new Set([refreshed, repeated].map(answer => answer.json().refresh_token))
    count('pairs of a repeated refresh:', pairs.size)
    pair = repeated.json()
    const other = await replicas.use(app => signIn(app, username))
    count('logout', (await replicas.use(app => logOut(app, other.access_token))).statusCode)
    const { statusCode } = await replicas.use(app => get(app, '/me', other.access_token))
    count('GET /me after the logout', statusCode)
  }
  return pair
}

t.test('the secret is changed twice under load, replica by replica, and no client is signed out', async t => {
  const env = { ...await serversEnv(t), RATE_LIMITS: 'off' }
  const replicas = await startReplicas(t, env)
  const end = new AbortController()
  const seen = new Map<string, number>()
  const clients = [1, 2, 3].map(() => stayIn(replicas, end.signal, seen))
  const changed = (async () => {
    for (const [index, previous] of secrets.slice(0, -1).entries()) {
      const changing = { KEY_ENCRYPTION_SECRET: String(secrets[index + 1]), KEY_ENCRYPTION_SECRET_PREVIOUS: previous }
      await replicas.restart(changing)
      await replicas.use(app => app.keyAdministration.reencrypt({}))
      await replicas.restart({ KEY_ENCRYPTION_SECRET: changing.KEY_ENCRYPTION_SECRET })
    }
  })().finally(() => { end.abort() })
  const pairs = await Promise.all(clients)
  await changed
  t.same([...seen.keys()].sort(), [
    'GET /me 200', 'GET /me after the logout 401', 'logout 200', 'pairs of a repeated refresh: 1', 'refresh 200'
  ])
  for (const pair of pairs) {
    t.equal((await replicas.use(app => refresh(app, pair.refresh_token))).statusCode, 200)
  }
  await t.rejects(build(t, { ...env, KEY_ENCRYPTION_SECRET: String(secrets[1]) }), { name: 'StartupError' })
})

t.test('a replica that missed the change accepts tokens, issues none, and says why', async t => {
  const env = await serversEnv(t)
  const [first, second] = secrets as [string, string]
  const late = await build(t, { ...env, KEY_ENCRYPTION_SECRET: first })
  const admin = await signUpAdmin(late)
  const other = await build(t, { ...env, KEY_ENCRYPTION_SECRET: second, KEY_ENCRYPTION_SECRET_PREVIOUS: first })
  await other.keyAdministration.reencrypt({})
  const rotate = () => send(late, 'POST /keys/rotate', { token: admin.token })
  await expectError(t, await rotate(), 503, 'service_unavailable')
  t.equal((await get(late, '/health/ready')).statusCode, 200, 'it has the key that signs in memory')

  await letSpareAge(other)
  await other.keyAdministration.rotate({})
  const { username, pair } = await signUp(other)
  await expectError(t, await send(late, 'POST /login', { body: { username, password } }), 503, 'service_unavailable')
  await expectError(t, await refresh(late, pair.refresh_token), 503, 'service_unavailable')
  t.equal((await get(late, '/me', pair.access_token)).statusCode, 200)
  const unready = await get(late, '/health/ready')
  await expectError(t, unready, 503, 'service_unavailable')
  t.equal(unready.json().description, 'Not ready: signing_key.')
  t.equal((await refresh(other, pair.refresh_token)).statusCode, 200, 'and the refresh is not lost')
})
