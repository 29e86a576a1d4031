import { randomUUID, type KeyObject } from 'node:crypto'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { SignJWT } from 'jose'
import { randomName } from './services.ts'
import { send } from './requests.ts'
import { nowSeconds } from './tokens.ts'

export type Form = Record<string, string>
/** An endpoint below `/oauth/`. */
export type Endpoint = 'token' | 'revoke' | 'introspect'

export interface FormOptions {
  headers?: Record<string, string>
  remoteAddress?: string | undefined
}

const form = { 'content-type': 'application/x-www-form-urlencoded' }

/** Sends a form to an endpoint of OAuth. A text is sent as it is. */
export function postForm (
  app: FastifyInstance, endpoint: Endpoint, body: Form | string, { headers, remoteAddress }: FormOptions = {}
): Promise<LightMyRequestResponse> {
  const text = typeof body === 'string' ? body : new URLSearchParams(body).toString()
  return send(app, `POST /oauth/${endpoint}`, { body: text, headers: { ...form, ...headers }, remoteAddress })
}

/** Returns the header of a client that authenticates with its secret. */
export function basic (id: string, secret: string): { authorization: string } {
  const joined = [id, secret].map(part => new URLSearchParams({ a: part }).toString().slice(2)).join(':')
  return { authorization: `Basic ${Buffer.from(joined).toString('base64')}` }
}

/** A registered client with a secret. */
export interface TestClient {
  id: string
  secret: string
  headers: { authorization: string }
}

/** Registers a client with a secret. */
export async function addClient (
  app: FastifyInstance, { mayRevoke = false }: { mayRevoke?: boolean } = {}
): Promise<TestClient> {
  const id = `client-${randomName()}`
  const { secret = '' } = await app.clientAdministration.create({ id, mayRevoke, keys: undefined })
  return { id, secret, headers: basic(id, secret) }
}

/** Introspects a token as a client. */
export function introspect (app: FastifyInstance, { headers }: TestClient, token: string) {
  return postForm(app, 'introspect', { token }, { headers })
}

/** Claims of an assertion. A claim that is null is left out. */
export type AssertionClaims = Record<string, unknown>

/** Returns the parameters of a client that authenticates with an assertion of 60 seconds. */
export async function assertionForm (
  id: string, audience: string, key: KeyObject, alg: string, claims: AssertionClaims = {}, kid?: string
): Promise<{ client_assertion_type: string, client_assertion: string }> {
  const all = {
    iss: id, sub: id, aud: audience, jti: randomUUID(), iat: nowSeconds(), exp: nowSeconds() + 60, ...claims
  }
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null))
  const header = { alg, ...kid !== undefined && { kid } }
  return asAssertion(await new SignJWT(given).setProtectedHeader(header).sign(key))
}

/** Returns the parameters of an assertion. */
export function asAssertion (text: string): { client_assertion_type: string, client_assertion: string } {
  return {
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: text
  }
}
