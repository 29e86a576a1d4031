import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { findFreePort } from '../../../scripts/services/programs.ts'
import { issuer, secret, type Env } from '../../support/app.ts'
import type { Account } from '../../support/people.ts'
import { canOwnPostgres, ownPostgres, type OwnPostgres } from '../../support/postgres-server.ts'
import { proxyTo, type Proxy } from '../../support/proxy.ts'
import { ownRedis, type OwnRedis } from '../../support/redis-server.ts'
import { startServer, type ServerProcess } from '../../support/server-process.ts'
import { randomName, scratchDatabase } from '../../support/services.ts'
import type { Owner } from '../../support/teardown.ts'
import { createAttendance } from './attendance.ts'
import { addPerson, readEnded } from './database.ts'
import { beginSpell, type Spell } from './operations.ts'
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
    readEnded: () => readEnded(databaseUrl, recorder)
  }
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
  const database = new URL(databaseUrl)
  const postgres = await proxyTo(owner, database.hostname, Number(database.port))
  const redis = await proxyTo(owner, '127.0.0.1', redisPort)
  database.hostname = '127.0.0.1'
  database.port = String(postgres.port)
  const port = await findFreePort()
  let own: Env = {}
  let server: ServerProcess | undefined
  let halt: Spell | undefined
  const attendance = createAttendance(name, recorder)

  async function end (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    attendance.leave()
    server?.child.kill(signal)
    await server?.ended
  }
  const replica: ReplicaProcess = {
    name,
    address: `http://127.0.0.1:${port}`,
    redis,
    postgres,
    clockOffsetMs,
    pause () {
      halt = beginSpell(recorder.history.halts, name, recorder.now())
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
      attendance.arrive(server)
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
