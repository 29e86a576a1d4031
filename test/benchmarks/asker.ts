import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { entryKey } from '../../src/entries/revocation.ts'
import { answer, givenArgument } from './processes.ts'

export interface AskerOptions {
  redisUrl: string
  prefix: string
}

export interface Asked {
  commands: number
  seconds: number
}

/**
 * This process sends look-ups to one Redis as fast as Redis answers them, like busy replicas. It ignores the values.
 */
const { redisUrl, prefix } = givenArgument<AskerOptions>()
const connections = 32
const redises = Array.from({ length: connections }, () => new Redis(redisUrl, { lazyConnect: true }))
await Promise.all(redises.map(redis => redis.connect()))

/**
 * Returns the keys of one look-up command: the marker, and two keys for each token. A replica sends such a command at
 * the end of a turn of its event loop.
 */
function keysOf (tokens: number): string[] {
  const ofTokens = Array.from({ length: tokens }, () => [
    prefix + entryKey('token', randomUUID()), prefix + entryKey('session', randomUUID())
  ])
  return [`${prefix}marker`, ...ofTokens.flat()]
}

export interface Question {
  /** The number of tokens in a command, and the number of commands in one packet. */
  tokens: number
  commandsTogether: number
  seconds: number
}

async function ask ({ tokens, commandsTogether, seconds }: Question): Promise<Asked> {
  let commands = 0
  const startedAt = performance.now()
  const isOver = () => performance.now() - startedAt >= seconds * 1000
  await Promise.all(redises.map(async redis => {
    const keys = Array.from({ length: commandsTogether }, () => keysOf(tokens))
    do {
      await Promise.all(keys.map(keys => redis.mget(keys)))
      commands += commandsTogether
    } while (!isOver())
  }))
  return { commands, seconds: (performance.now() - startedAt) / 1000 }
}

answer({ ready: () => true, ask })
