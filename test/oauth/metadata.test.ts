import { createPublicKey } from 'node:crypto'
import { exportJWK } from 'jose'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import type { ClientJwk } from '../../src/clients/client-keys.ts'
import { describeServer, metadataPaths } from '../../src/oauth/metadata.ts'
import { build, issuer, serversEnv } from '../support/app.ts'
import { makePrivateKey } from '../support/hostile-tokens.ts'
import { addClient, assertionForm, basic, postForm, type Endpoint, type Form } from '../support/oauth.ts'
import { signUp, signUpAdmin } from '../support/people.ts'
import { get } from '../support/requests.ts'
import { claimsOf } from '../support/sessions.ts'
import { randomName } from '../support/services.ts'

type Metadata = Record<string, unknown> & { issuer: string }
const path = '/.well-known/oauth-authorization-server'
/** The endpoints, by the beginning of their names in the metadata. */
const endpoints = { token: 'token', revocation: 'revoke', introspection: 'introspect' } as const
const methods = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt']
const algorithms = { EdDSA: 'EdDSA', ES256: 'ES256', RS256: 'RS256', PS256: 'RS256' } as const

/** Sends a request to an endpoint as a client, and returns true unless the client is refused. */
async function isTaken (
  app: FastifyInstance, endpoint: Endpoint, client: Form, headers: Record<string, string> = {}
): Promise<boolean> {
  const form: Form = { token: 'x', grant_type: 'refresh_token', refresh_token: 'x', ...client }
  const answer = await postForm(app, endpoint, form, { headers })
  return answer.statusCode !== 401 && !(endpoint === 'introspect' && answer.statusCode === 400)
}

/** Returns which methods of authentication an endpoint takes, and which algorithms of assertions. */
async function findTaken (app: FastifyInstance, endpoint: Endpoint) {
  const { id, secret } = await addClient(app)
  const keyed = `client-${randomName()}`
  const keys = Object.entries(algorithms).map(([alg, of]) => ({ alg, key: makePrivateKey(of) }))
  const jwks = await Promise.all(keys.map(async ({ alg, key }) => ({ ...await exportJWK(createPublicKey(key)), alg })))
  await app.clientAdministration.create({ id: keyed, mayRevoke: false, keys: jwks as ClientJwk[] })
  const taken = await Promise.all(keys.map(async ({ alg, key }) =>
    await isTaken(app, endpoint, await assertionForm(keyed, issuer, key, alg)) ? [alg] : []))
  const ways: Record<string, boolean> = {
    none: await isTaken(app, endpoint, { client_id: 'signout' }),
    client_secret_basic: await isTaken(app, endpoint, {}, basic(id, secret)),
    client_secret_post: await isTaken(app, endpoint, { client_id: id, client_secret: secret }),
    private_key_jwt: taken.flat().length > 0
  }
  return { methods: methods.filter(method => ways[method]), algorithms: taken.flat().sort() }
}

t.test('the metadata of RFC 8414 says what the service does', async t => {
  const app = await build(t, await serversEnv(t))
  const answer = await get(app, path)
  t.equal(answer.statusCode, 200)
  t.match(answer.headers, { 'content-type': /^application\/json/, 'cache-control': 'public, max-age=300' })
  const metadata = answer.json() as Metadata
  const { pair } = await signUp(app)
  t.equal(metadata.issuer, (claimsOf(pair) as unknown as { iss: string }).iss)
  const scopes = [pair, (await signUpAdmin(app)).pair].map(each => claimsOf(each).scope)
  t.same(metadata['scopes_supported'], scopes)
  const { keys } = (await get(app, String(metadata['jwks_uri']).replace(issuer, ''))).json()
  t.ok(keys.length > 0)
  t.same(metadata['response_types_supported'], [], 'there is no authorization endpoint')
  t.notOk('authorization_endpoint' in metadata || 'registration_endpoint' in metadata)
  t.same(metadata['grant_types_supported'], ['refresh_token'])
  const expected = ['issuer', 'scopes_supported', 'jwks_uri', 'response_types_supported', 'grant_types_supported']
  for (const [name, endpoint] of Object.entries(endpoints)) {
    const taken = await findTaken(app, endpoint)
    t.equal(metadata[`${name}_endpoint`], `${issuer}/oauth/${endpoint}`)
    t.same(metadata[`${name}_endpoint_auth_methods_supported`], taken.methods, name)
    const named = metadata[`${name}_endpoint_auth_signing_alg_values_supported`] as string[]
    t.same([...named].sort(), taken.algorithms, name)
    expected.push(...['', '_auth_methods_supported', '_auth_signing_alg_values_supported'].map(rest =>
      `${name}_endpoint${rest}`))
  }
  t.same(Object.keys(metadata).sort(), expected.sort(), 'every member is compared here')
})

t.test('an issuer with a path has its metadata where RFC 8414, section 3.1, says', async t => {
  t.same(metadataPaths('https://a.example'), [path])
  t.same(metadataPaths('https://a.example/'), [path])
  t.same(metadataPaths('https://a.example/auth/'), [path, `${path}/auth`])
  const withPath = `${issuer}/tenants/a:b`
  const app = await build(t, { ...await serversEnv(t), ISSUER: withPath })
  for (const where of [path, `${path}/tenants/a:b`]) {
    const { issuer, token_endpoint: endpoint } = (await get(app, where)).json()
    t.same({ issuer, endpoint }, { issuer: withPath, endpoint: `${withPath}/oauth/token` }, where)
  }
  t.equal((await get(app, `${path}/other`)).statusCode, 404)
  t.equal(describeServer('https://a.example/', []).token_endpoint, 'https://a.example/oauth/token')
})
