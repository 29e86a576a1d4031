import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hash, verify } from '@node-rs/argon2'
import pLimit from 'p-limit'
import { SignoutError } from '../errors.ts'

/** Hashes passwords slowly, without slowing down anything else. */
export interface PasswordHasher {
  /** @returns the hash in PHC string format, with its parameters and salt */
  hash (password: string): Promise<string>
  /**
   * Whether the password is the one that was hashed. Without a hash it does the same work against a decoy and
   * answers false, so that the time of the answer does not tell whether there was a user.
   */
  verify (password: string, passwordHash: string | undefined): Promise<boolean>
  /** How many hashes run now, and how many wait for their turn. */
  readonly load: { running: number, waiting: number }
}

export interface PasswordHasherOptions {
  /** How many hashes run at once. */
  maxRunning?: number
  /** How many may wait for their turn; beyond it, `service_unavailable`. */
  maxWaiting?: number
  /** How long one may wait for its turn, in milliseconds; beyond it, `service_unavailable`. */
  maxWaitMs?: number
  /** A clock that nobody sets, in milliseconds. */
  now?: () => number
}

/** Too many passwords wait to be hashed, or one has waited too long. */
export class TooManyHashesError extends Error {
  override readonly name = 'TooManyHashesError'
}

/**
 * OWASP's minimum for Argon2id; `algorithm` 2 is Argon2id, whose enum cannot be imported by a compiler of single files.
 */
const argon2id = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const
/** About a second's worth of work for two cores. */
const defaultMaxWaiting = 128
/** Far more than that work takes, even on a slow machine. */
const defaultMaxWaitMs = 20_000
/** How long one hash may take, in milliseconds: about 12 on an idle core. */
const hashAllowanceMs = 5_000
/**
 * How long a verification takes at most, in milliseconds: the wait for its turn is bounded, the hash is not expected to
 * be longer.
 */
export const maxVerificationMs = defaultMaxWaitMs + hashAllowanceMs

/**
 * Hashes run in libuv's thread pool, which file system and DNS use too. More hashes than cores gain nothing, and as
 * many as threads would starve the others, so two threads are always left to them.
 */
export function defaultMaxRunning (): number {
  const poolSize = Number(process.env['UV_THREADPOOL_SIZE']) || 4
  return Math.max(1, Math.min(availableParallelism(), poolSize - 2))
}

export async function createPasswordHasher (options: PasswordHasherOptions = {}): Promise<PasswordHasher> {
  const {
    maxRunning = defaultMaxRunning(),
    maxWaiting = defaultMaxWaiting,
    maxWaitMs = defaultMaxWaitMs,
    now = () => performance.now()
  } = options
  const limit = pLimit(maxRunning)
  const decoyHash = await hash(randomBytes(32), argon2id)

  let underWay = 0

  async function inTurn<T> (work: () => Promise<T>): Promise<T> {
    if (underWay >= maxRunning + maxWaiting) throw tooMany(`${underWay} passwords are being hashed or wait for it.`)
    const beganAt = now()
    underWay++
    try {
      return await limit(async () => {
        const waitedMs = now() - beganAt
        if (waitedMs > maxWaitMs) throw tooMany(`A password has waited ${Math.round(waitedMs)} ms to be hashed.`)
        return await work()
      })
    } finally {
      underWay--
    }
  }

  return {
    hash: password => inTurn(() => hash(password, argon2id)),
    verify: (password, passwordHash) => inTurn(async () => {
      const matches = await verify(passwordHash ?? decoyHash, password)
      return matches && passwordHash !== undefined
    }),
    get load () {
      return { running: limit.activeCount, waiting: limit.pendingCount }
    }
  }
}

function tooMany (reason: string): SignoutError {
  return new SignoutError('service_unavailable', { cause: new TooManyHashesError(reason) })
}
