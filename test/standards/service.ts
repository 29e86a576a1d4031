import { createPublicKey, type KeyObject } from 'node:crypto'
import { exportJWK } from 'jose'
import type { FastifyInstance } from 'fastify'
import { findFreePort } from '../../scripts/services/programs.ts'
import { buildApp } from '../../src/app.ts'
import type { ClientJwk } from '../../src/clients/client-keys.ts'
import { loadConfig } from '../../src/config.ts'
import type { SigningAlgorithm } from '../../src/db/public-jwk.ts'
import type { Env } from '../support/app.ts'
import { quickHash } from '../support/hasher.ts'
import { makePrivateKey } from '../support/hostile-tokens.ts'
import { signIn, type Pair } from '../support/people.ts'
import type { Owner } from '../support/teardown.ts'

/** A service that listens, and what a stranger gets from its operator. */
export interface Service {
  issuer: string
  algorithm: SigningAlgorithm
  /** Signs the user in. */
  signIn (): Promise<Pair>
  /** Lets the next signing key sign. */
  rotateKey (): Promise<void>
  /** A client with a secret, which may revoke. */
  withSecret: { id: string, secret: string }
  /** A client with a key of RS256. */
  withKey: { id: string, key: KeyObject }
}

const clientKey = makePrivateKey('RS256')

/** Starts a service on a free port of loopback, with a user and two clients. */
export async function startService (owner: Owner, env: Env, algorithm: SigningAlgorithm): Promise<Service> {
  const port = await findFreePort()
  const issuer = `http://127.0.0.1:${port}`
  const config = loadConfig({ ...env, ISSUER: issuer, SIGNING_ALGORITHM: algorithm, JWKS_MAX_AGE: '1' })
  const app = buildApp(config, false, { hashCost: quickHash }) as FastifyInstance
  owner.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port })
  await app.accounts.register('ada', 'correct horse battery staple', {}, 'user')
  const { secret = '' } = await app.clientAdministration.create({ id: 'api', mayRevoke: true, keys: undefined })
  const jwk = { ...await exportJWK(createPublicKey(clientKey)), kid: 'key-1', alg: 'RS256' } as ClientJwk
  await app.clientAdministration.create({ id: 'keyed-api', mayRevoke: false, keys: [jwk] })
  return {
    issuer,
    algorithm,
    signIn: () => signIn(app, 'ada'),
    rotateKey: async () => { await app.keyAdministration.rotate({}) },
    withSecret: { id: 'api', secret },
    withKey: { id: 'keyed-api', key: clientKey }
  }
}
