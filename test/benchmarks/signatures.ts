import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { createVerifier } from 'fast-jwt'
import { importJWK, type CryptoKey } from 'jose'
import { signingAlgorithms, type SigningAlgorithm } from '../../src/db/public-jwk.ts'
import { createAccessTokens } from '../../src/tokens/access-tokens.ts'
import { makePrivateKey } from '../support/hostile-tokens.ts'
import type { Effort } from './scenes.ts'
import { spreadOf, type Spread } from './statistics.ts'
import { issuer } from './tokens.ts'

/** The processor time of one signature and of one verification in each round, in µs, and the length of a token. */
export interface SignaturesMeasurement {
  signMicros: number[]
  verifyMicros: number[]
  tokenBytes: number
}
export type SignaturesResult = Record<SigningAlgorithm, SignaturesMeasurement>

/** Signs and verifies with each algorithm in turn. Counts the time of all threads, also those that sign. */
export async function measureSignatures ({ rounds, seconds, say }: Effort): Promise<SignaturesResult> {
  const subjects = await Promise.all(signingAlgorithms.map(prepare))
  const results = {} as SignaturesResult
  for (const { algorithm, sign, verify } of subjects) {
    say(`signatures of ${algorithm}, warming up`)
    const tokens = await signFor(sign, Math.min(seconds, 0.2))
    results[algorithm] = { signMicros: [], verifyMicros: [], tokenBytes: tokens.tokens[0]?.length ?? NaN }
    verifyFor(verify, tokens.tokens, Math.min(seconds, 0.2))
  }
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < subjects.length; turn++) {
      const { algorithm, sign, verify } = subjects[(round + turn) % subjects.length] as Subject
      say(`signatures of ${algorithm}, round ${round + 1} of ${rounds}`)
      const signed = await signFor(sign, seconds)
      results[algorithm].signMicros.push(signed.micros)
      results[algorithm].verifyMicros.push(verifyFor(verify, signed.tokens, seconds))
    }
  }
  return results
}

interface Subject {
  algorithm: SigningAlgorithm
  sign: () => Promise<string>
  verify: (token: string) => unknown
}

/** Returns the signer of the service, and the verifier of the plugin without its memory. */
async function prepare (algorithm: SigningAlgorithm): Promise<Subject> {
  const pair: KeyObject = makePrivateKey(algorithm)
  const privateKey = await importJWK(pair.export({ format: 'jwk' }), algorithm) as CryptoKey
  const key = { kid: 'x'.repeat(43), algorithm, privateKey }
  const tokens = createAccessTokens(
    { getSigningKey: async () => key, findAny: () => undefined },
    { issuer, audience: issuer, lifetimeSeconds: 7_200 }
  )
  const subject = {
    userId: crypto.randomUUID(), sessionId: crypto.randomUUID(), scope: 'user', authenticatedAt: new Date()
  }
  const pem = String(createPublicKey(createPrivateKey(pair.export({ type: 'pkcs8', format: 'pem' }) as string))
    .export({ type: 'spki', format: 'pem' }))
  return {
    algorithm,
    sign: () => tokens.sign(subject, tokens.plan(Infinity)),
    verify: createVerifier({
      key: pem, algorithms: [algorithm], allowedIss: issuer, allowedAud: issuer, checkTyp: 'at+jwt', cache: false
    })
  }
}

async function signFor (sign: Subject['sign'], seconds: number): Promise<{ micros: number, tokens: string[] }> {
  const tokens: string[] = []
  const [startedAt, before] = [performance.now(), process.cpuUsage()]
  // Once at least, however long this process had to wait for a core.
  do tokens.push(await sign()); while (performance.now() - startedAt < seconds * 1_000)
  return { micros: spentSince(before) / tokens.length, tokens }
}

function verifyFor (verify: Subject['verify'], tokens: readonly string[], seconds: number): number {
  let count = 0
  const [startedAt, before] = [performance.now(), process.cpuUsage()]
  do verify(tokens[count++ % tokens.length] as string); while (performance.now() - startedAt < seconds * 1_000)
  return spentSince(before) / count
}

function spentSince (before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return user + system
}

const withSpread = ({ median, min, max }: Spread) => `${median.toFixed(1)} (${min.toFixed(1)} to ${max.toFixed(1)})`

/** Returns the table of the signatures, in Markdown. */
export function formatSignatures (result: SignaturesResult): string {
  return [
    '| `SIGNING_ALGORITHM` | CPU µs to sign | CPU µs to verify | bytes of a token |',
    '| --- | --- | --- | --- |',
    ...Object.entries(result).map(([algorithm, { signMicros, verifyMicros, tokenBytes }]) =>
      `| ${algorithm} | ${withSpread(spreadOf(signMicros))} | ${withSpread(spreadOf(verifyMicros))} | ${tokenBytes} |`)
  ].join('\n')
}

/** The circumstances of a run: a part of the result of the benchmark. */
interface Run {
  startedAt: string
  rounds: number
  secondsEach: number
  machine: { cpu: string, node: string }
  loadAverage: [number, number]
}

/** Returns when, where and how the signatures were measured, in Markdown. */
export function describeSignatures (
  { startedAt, rounds, secondsEach, machine: { cpu, node }, loadAverage: [before] }: Run
): string {
  return (
    `Medians, with the lowest and the highest, measured at ${startedAt}. ` +
    `Each was measured in ${rounds} rounds of ${secondsEach} s, in turn. ` +
    `Machine: ${cpu}, Node ${node}. Its load average was ${before.toFixed(1)} before the run.`
  )
}
