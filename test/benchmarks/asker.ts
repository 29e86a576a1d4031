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

/** Asks one Redis as fast as it answers, as replicas would that are all busy. Nothing is done with what it answers. */
const { redisUrl, prefix } = givenArgument<AskerOptions>()
const connections = 32
const redises = Array.from({ length: connections }, () => new Redis(redisUrl, { lazyConnect: true }))
await Promise.all(redises.map(redis => redis.connect()))

/** The marker, and for each token its two keys: what a replica asks for at the end of a turn of its event loop. */
function keysOf (tokens: number): string[] {
  const ofTokens = Array.from({ length: tokens }, () => [
    prefix + entryKey('token', randomUUID()), prefix + entryKey('session', randomUUID())
  ])
  return [`${prefix}marker`, ...ofTokens.flat()]
}

export interface Question {
  /** How many tokens a command is about, and how many commands go out in one packet. */
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
    while (!isOver()) {
      await Promise.all(keys.map(keys => redis.mget(keys)))
      commands += commandsTogether
    }
  }))
  return { commands, seconds: (performance.now() - startedAt) / 1000 }
}

answer({ ready: () => true, ask })
