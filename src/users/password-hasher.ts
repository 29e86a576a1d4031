import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hash, verify } from '@node-rs/argon2'
import { SignoutError } from '../errors.ts'
import { createTurns, findLargest } from '../limits/turns.ts'

/**
 * Hashes passwords, which is slow on purpose, without slowing down other work. Hashes wait in line, and networks take
 * turns. So one address that sends very many passwords does not keep others waiting.
 */
export interface PasswordHasher {
  /**
   * @param network the network of the request, see `networkOf`
   * @returns the hash in PHC string format, with its parameters and salt
   */
  hash (password: string, network: string): Promise<string>
  /**
   * Resolves to true if the password is the one that was hashed. Without a hash, the password is verified against a
   * decoy, and the result is false. So the time of the answer does not reveal whether the user exists. Rejects with a
   * {@link DamagedHashError} if the hash cannot be read, in the time of a verification.
   */
  verify (password: string, passwordHash: string | undefined, network: string): Promise<boolean>
  /** Returns true if a hash costs less than new ones do, so that it should be replaced. */
  isWeak (passwordHash: string): boolean
  /** The number of hashes that run now, and of those that wait. */
  readonly load: { running: number, waiting: number }
}

export interface PasswordHasherOptions {
  /** The largest number of hashes that run at once. Defaults to {@link defaultMaxRunning}. */
  maxRunning?: number
  /**
   * The largest number of hashes that wait. Beyond it, the last call of the network with most calls rejects with
   * `service_unavailable`. Defaults to 128.
   */
  maxWaiting?: number
  /**
   * The longest wait of a hash, in milliseconds. After it, the call rejects with `service_unavailable`. Defaults to
   * 20000.
   */
  maxWaitMs?: number
  /** The cost of a hash. Defaults to OWASP's minimum for Argon2id. For tests. */
  cost?: HashCost
}

/** The cost of an Argon2id hash (RFC 9106, section 3.1). */
export interface HashCost {
  /** The memory, in KiB. */
  memoryCost: number
  /** The number of passes over the memory. */
  timeCost: number
}

/** The cause of `service_unavailable` if too many passwords wait to be hashed, or one has waited too long. */
export class TooManyHashesError extends Error {
  override readonly name = 'TooManyHashesError'
}

/** A stored hash cannot be read, so no password matches it. The operator has to give the user a new one. */
export class DamagedHashError extends Error {
  override readonly name = 'DamagedHashError'
}

/** OWASP's minimum for Argon2id. */
const owaspMinimum: HashCost = { memoryCost: 19_456, timeCost: 2 }
/**
 * `algorithm` 2 is Argon2id. The enum of the package is a `const enum`, which cannot be imported when files are
 * compiled one by one.
 */
const argon2id = { algorithm: 2, parallelism: 1 } as const
/** About a second of work for two cores. */
const defaultMaxWaiting = 128
/** Far longer than that work takes, even on a slow machine. */
const defaultMaxWaitMs = 20_000
/** The time that is reserved for one hash, in milliseconds. A hash takes about 12 on an idle core. */
const hashAllowanceMs = 5_000
/**
 * The longest time of a verification, in milliseconds. The wait is bounded. The hash is not, but it is not expected to
 * take longer than its reserve.
 */
export const maxVerificationMs = defaultMaxWaitMs + hashAllowanceMs

/**
 * Returns the default for `maxRunning`. Hashes run in libuv's thread pool, which the file system and DNS use too. More
 * hashes than cores gain nothing. Two threads of a pool of three or more are left to other work.
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
    cost = owaspMinimum
  } = options
  const parameters = { ...argon2id, ...cost }
  const decoyHash = await hash(randomBytes(32), parameters)
  const line = createLine({ maxRunning, maxWaiting, maxWaitMs })

  return {
    hash: (password, network) => line.run(network, () => hash(password, parameters)),
    verify: (password, passwordHash, network) => line.run(network, async () => {
      try {
        const matches = await verify(passwordHash ?? decoyHash, password)
        return matches && passwordHash !== undefined
      } catch (cause) {
        if (passwordHash === undefined) throw cause
        await verify(decoyHash, password)
        throw new DamagedHashError('A password hash cannot be read.', { cause })
      }
    }),
    isWeak (passwordHash) {
      const [, memory, passes] = /\$m=(\d+),t=(\d+)/.exec(passwordHash) ?? []
      return Number(memory) < cost.memoryCost || Number(passes) < cost.timeCost
    },
    get load () { return line.load }
  }
}

/** A hash that waits for its turn. */
interface Waiter {
  network: string
  timer: NodeJS.Timeout
  begin: () => void
  refuse: (reason: string) => void
}

/** Runs a few hashes at once. The others wait, and their networks take turns. */
function createLine ({ maxRunning, maxWaiting, maxWaitMs }: Required<Omit<PasswordHasherOptions, 'cost'>>) {
  const turns = createTurns<Waiter>()
  let [running, waiting] = [0, 0]

  function leave (waiter: Waiter): void {
    clearTimeout(waiter.timer)
    waiting--
  }

  /** Waits until it is the turn of a hash. */
  async function wait (network: string): Promise<void> {
    if (waiting >= maxWaiting) {
      const last = turns.lastOf(findLargest(turns.countByNetwork(), network) ?? '')
      const reason = `${running + waiting} passwords are being hashed or wait for it.`
      if (last === undefined || !turns.remove(last)) throw tooMany(reason)
      last.refuse(reason)
    }
    waiting++
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        network,
        timer: setTimeout(() => {
          if (turns.remove(waiter)) waiter.refuse(`A password has waited ${maxWaitMs} ms to be hashed.`)
        }, maxWaitMs).unref(),
        begin () { leave(waiter); resolve() },
        refuse (reason) { leave(waiter); reject(tooMany(reason)) }
      }
      turns.append(waiter)
    })
  }

  function beginNext (): void {
    const next = running < maxRunning ? turns.takeNext() : undefined
    if (next === undefined) return
    running++
    next.begin()
  }

  return {
    async run<T> (network: string, work: () => Promise<T>): Promise<T> {
      if (running < maxRunning) running++
      else await wait(network)
      try {
        return await work()
      } finally {
        running--
        beginNext()
      }
    },
    get load () { return { running, waiting } }
  }
}

function tooMany (reason: string): SignoutError {
  return new SignoutError('service_unavailable', { cause: new TooManyHashesError(reason) })
}
