import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import pg from 'pg'
import { findFreePort } from '../../../scripts/services/programs.ts'
import { issuer, secret, type Env } from '../../support/app.ts'
import { quickHasher } from '../../support/hasher.ts'
import { password, type Account } from '../../support/people.ts'
import { canOwnPostgres, ownPostgres, type OwnPostgres } from '../../support/postgres-server.ts'
import { proxyTo, type Proxy } from '../../support/proxy.ts'
import { ownRedis, type OwnRedis } from '../../support/redis-server.ts'
import { startServer, type ServerProcess } from '../../support/server-process.ts'
import { randomName, scratchDatabase } from '../../support/services.ts'
import type { Owner } from '../../support/teardown.ts'
import type { Spell } from './operations.ts'
import type { Recorder, Target } from './recorder.ts'

/** A replica of the service: a process, with a proxy between it and each of its servers. */
export interface ReplicaProcess extends Target {
  redis: Proxy
  postgres: Proxy
  /** The number of milliseconds by which its clock is ahead. */
  clockOffsetMs: number
  /** Sends SIGSTOP, and SIGCONT. */
  pause (): void
  resume (): void
  /** Sends SIGKILL, and starts it again. */
  kill (): Promise<void>
  start (): Promise<void>
  /** Sends SIGTERM, and starts it with other settings. */
  restart (settings: Env): Promise<void>
}

/** All processes of a run. */
export interface World {
  replicas: ReplicaProcess[]
  /** They may change places. The second one runs only while it is needed. */
  redis: { primary: OwnRedis, other: OwnRedis }
  /** Undefined if there is none that a test may stop. */
  postgres: OwnPostgres | undefined
  databaseUrl: string
  addPerson (role?: 'user' | 'admin'): Promise<Account>
  /** Reads when sessions ended, by the record, on the clock of the recorder. */
  readEnded (): Promise<Map<string, number>>
}

export interface WorldOptions {
  owner: Owner
  recorder: Recorder
  settings: Env
  clockOffsetsMs: readonly number[]
  /** The folder for the logs of the replicas. Undefined: no logs are written. */
  logFolder: string | undefined
}

/** The number of lines of output that show why a process ended. */
const linesOfCrash = 30

const maxStarts = 10

const clock = pathToFileURL(fileURLToPath(import.meta.resolve('./clock.js'))).href

export async function createWorld ({
  owner, recorder, settings, clockOffsetsMs, logFolder
}: WorldOptions): Promise<World> {
  const [primary, other] = [await ownRedis(owner), await ownRedis(owner)]
  await other.kill()
  const postgres = canOwnPostgres ? await ownPostgres(owner) : undefined
  const databaseUrl = postgres?.url ?? await scratchDatabase(owner)
  const env: Env = {
    ISSUER: issuer,
    KEY_ENCRYPTION_SECRET: secret,
    RATE_LIMITS: 'off',
    // Sessions of a long run are older than ten minutes, and end others all the same.
    REAUTHENTICATION_MAX_AGE: '0',
    // Short, so that refreshes are repeated within it and after it.
    REFRESH_GRACE: '2',
    LOG_LEVEL: 'info',
    BLOCKLIST_PREFIX: `faults:${randomName()}:`,
    ...settings
  }
  const replicas: ReplicaProcess[] = []
  for (const [index, clockOffsetMs] of clockOffsetsMs.entries()) {
    replicas.push(
      await createReplica({
        owner,
        recorder,
        name: `replica ${index + 1}`,
        clockOffsetMs,
        databaseUrl,
        redisPort: primary.port,
        env,
        logFolder
      })
    )
  }
  // The first one creates the tables, so that the others need not wait for each other.
  await replicas[0]?.start()
  await Promise.all(replicas.slice(1).map(replica => replica.start()))

  return {
    replicas,
    redis: { primary, other },
    postgres,
    databaseUrl,
    addPerson: role => addPerson(databaseUrl, role),
    async readEnded () {
      const rows = await query<{ id: string, ended_ms: number }>(
        databaseUrl,
        `select sessions.id, (extract(epoch from least(ended_at, everyone.created_at)) * 1000)::float8 as ended_ms
        from sessions left join lateral (
          select min(created_at) as created_at from revocations
          where scope = 'everyone' and issued_before > sessions.created_at
        ) as everyone on true
        where ended_at is not null or everyone.created_at is not null`
      )
      const toRecorders = recorder.now() - Date.now()
      return new Map(rows.map(({ id, ended_ms: endedMs }) => [id, endedMs + toRecorders]))
    }
  }
}

/** Adds a user with the password of all tests. */
export async function addPerson (databaseUrl: string, role: 'user' | 'admin' = 'user'): Promise<Account> {
  const person = { id: randomUUID(), username: `${role}-${randomName()}` }
  await query(databaseUrl, 'insert into users (id, username, password_hash, role) values ($1, $2, $3, $4)', [
    person.id, person.username, await quickHasher.hash(password, 'here'), role
  ])
  return person
}

interface ReplicaOptions {
  owner: Owner
  recorder: Recorder
  name: string
  clockOffsetMs: number
  databaseUrl: string
  redisPort: number
  env: Env
  logFolder: string | undefined
}

async function createReplica ({
  owner, recorder, name, clockOffsetMs, databaseUrl, redisPort, env, logFolder
}: ReplicaOptions): Promise<ReplicaProcess> {
  const { away, halts } = recorder.history
  const database = new URL(databaseUrl)
  const postgres = await proxyTo(owner, database.hostname, Number(database.port))
  const redis = await proxyTo(owner, '127.0.0.1', redisPort)
  database.hostname = '127.0.0.1'
  database.port = String(postgres.port)
  const port = await findFreePort()
  let own: Env = {}
  let server: ServerProcess | undefined
  let halt: Spell | undefined
  let absence: Spell | undefined = begin(away, name, recorder)

  async function end (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    absence ??= begin(away, name, recorder)
    server?.child.kill(signal)
    await server?.ended
  }
  /** Records a crash: a replica that the run ends was recorded as down before. */
  function watch (started: ServerProcess): void {
    started.ended.then(() => {
      if (absence === undefined) {
        recorder.history.crashes.push({
          replica: name,
          at: recorder.now(),
          said: started.output().trimEnd().split('\n').slice(-linesOfCrash).join('\n')
        })
      }
      absence ??= begin(away, name, recorder)
    })
  }
  const replica: ReplicaProcess = {
    name,
    address: `http://127.0.0.1:${port}`,
    redis,
    postgres,
    clockOffsetMs,
    pause () {
      halt = begin(halts, name, recorder)
      server?.child.kill('SIGSTOP')
    },
    resume () {
      server?.child.kill('SIGCONT')
      if (halt !== undefined) halt.until = recorder.now()
    },
    kill: () => end('SIGKILL'),
    async start () {
      server = await startAgain(owner, {
        ...env,
        ...own,
        PORT: String(port),
        DATABASE_URL: database.href,
        REDIS_URL: `redis://127.0.0.1:${redis.port}`,
        NODE_OPTIONS: `--import ${clock}`,
        CLOCK_OFFSET_MS: String(clockOffsetMs)
      })
      if (absence !== undefined) absence.until = recorder.now()
      absence = undefined
      watch(server)
      if (logFolder !== undefined) {
        server.child.stdout?.pipe(createWriteStream(join(logFolder, `${name.replace(' ', '-')}.log`), { flags: 'a' }))
      }
    },
    async restart (settings) {
      own = settings
      await end('SIGTERM')
      await replica.start()
    }
  }
  return replica
}

/** Starts a replica, and again if it could not start because a server was down, as a process manager does. */
async function startAgain (owner: Owner, env: Env): Promise<ServerProcess> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startServer(owner, env)
    } catch (error) {
      if (attempt === maxStarts) throw error
    }
  }
}

function begin (spells: Spell[], replica: string, recorder: Recorder): Spell {
  const spell = { replica, from: recorder.now(), until: Infinity }
  spells.push(spell)
  return spell
}

async function query<R extends pg.QueryResultRow> (
  databaseUrl: string, statement: string, values: unknown[] = []
): Promise<R[]> {
  const client = new pg.Client({
    connectionString: databaseUrl, connectionTimeoutMillis: 10_000, query_timeout: 10_000
  })
  client.on('error', () => {
    /* `connect` or `query` rejects with it. */
  })
  await client.connect()
  try {
    return (await client.query<R>(statement, values)).rows
  } finally {
    await client.end()
  }
}
