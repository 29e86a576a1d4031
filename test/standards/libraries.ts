import assert from 'node:assert/strict'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import jwksRsa from 'jwks-rsa'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { until } from '../support/wait.ts'
import type { Service } from './service.ts'

/** Lets a library of strangers use a service. Rejects with what it has found wrong. */
export type Library = (service: Service) => Promise<void>

/** The service listens on loopback, without TLS. */
const insecure = { [oauth.allowInsecureRequests]: true }

const useOauth4webapi: Library = async ({ issuer, signIn, withSecret, withKey }) => {
  const url = new URL(issuer)
  const found = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure })
  const server = await oauth.processDiscoveryResponse(url, found)
  const own = { client_id: 'signout' }
  const pair = await signIn()
  const refreshed = await oauth.refreshTokenGrantRequest(server, own, oauth.None(), pair.refresh_token, insecure)
  const next = await oauth.processRefreshTokenResponse(server, own, refreshed)
  const validate = async (token: string) => {
    const request = new Request(`${issuer}/api`, { headers: { authorization: `Bearer ${token}` } })
    return await oauth.validateJwtAccessToken(server, request, issuer, insecure)
  }
  assert.equal((await validate(next.access_token)).client_id, 'signout')
  assert.equal(next.scope, 'user')

  const pkcs8 = withKey.key.export({ type: 'pkcs8', format: 'der' })
  const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, rsa, false, ['sign'])
  const introspect = async (id: string, way: oauth.ClientAuth, token: string) => {
    const client = { client_id: id }
    const answer = await oauth.introspectionRequest(server, client, way, token, insecure)
    return await oauth.processIntrospectionResponse(server, client, answer)
  }
  for (const [id, way] of [
    [withSecret.id, oauth.ClientSecretBasic(withSecret.secret)],
    [withSecret.id, oauth.ClientSecretPost(withSecret.secret)],
    [withKey.id, oauth.PrivateKeyJwt({ key, kid: 'key-1' })]
  ] as const) {
    assert.equal((await introspect(id, way, next.access_token)).active, true)
  }
  const revoked = await oauth.revocationRequest(server, own, oauth.None(), String(next.refresh_token), insecure)
  assert.equal(await oauth.processRevocationResponse(revoked), undefined)
  const way = oauth.ClientSecretBasic(withSecret.secret)
  assert.deepEqual(await introspect(withSecret.id, way, next.access_token), { active: false })
  const refused = await oauth.refreshTokenGrantRequest(server, own, oauth.None(), String(next.refresh_token), insecure)
  await assert.rejects(oauth.processRefreshTokenResponse(server, own, refused), { error: 'invalid_grant' })
}

const useOpenidClient: Library = async ({ issuer, signIn, withSecret }) => {
  const options: openid.DiscoveryRequestOptions = {
    algorithm: 'oauth2', execute: [openid.allowInsecureRequests]
  }
  const url = new URL(issuer)
  const app = await openid.discovery(url, 'signout', undefined, openid.None(), options)
  const api = await openid.discovery(url, withSecret.id, withSecret.secret, undefined, options)
  const pair = await signIn()
  const next = await openid.refreshTokenGrant(app, pair.refresh_token)
  const { active, sub, client_id: client } = await openid.tokenIntrospection(api, next.access_token)
  assert.deepEqual({ active, client }, { active: true, client: 'signout' })
  assert.equal(typeof sub, 'string')
  await openid.tokenRevocation(app, next.access_token)
  assert.deepEqual(await openid.tokenIntrospection(api, next.access_token), { active: false })
  await assert.rejects(openid.refreshTokenGrant(app, String(next.refresh_token)), { error: 'invalid_grant' })
  const { access_token: token } = await signIn()
  await openid.tokenRevocation(api, token)
  assert.equal((await openid.tokenIntrospection(api, token)).active, false, 'a client that may revoke')
}

/** Verifies tokens of the key before and of the next key with one set, which reads the keys again. */
const useJose: Library = async ({ issuer, signIn, rotateKey }) => {
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), { cooldownDuration: 0 })
  const verify = async (token: string) =>
    await jwtVerify(token, keys, { issuer, audience: issuer, typ: 'at+jwt', requiredClaims: ['client_id', 'jti'] })
  const { access_token: old } = await signIn()
  const before = await verify(old)
  // The next key must have been published for as long as caches keep the keys: a second here.
  await until('the key rotates', () => rotateKey().then(() => true, () => false))
  const after = await verify((await signIn()).access_token)
  assert.notEqual(after.protectedHeader.kid, before.protectedHeader.kid)
  await verify(old)
}

const useJsonwebtoken: Library = async ({ issuer, signIn }) => {
  const keys = jwksRsa({ jwksUri: `${issuer}/.well-known/jwks.json` })
  const { access_token: token } = await signIn()
  const key = await keys.getSigningKey(jsonwebtoken.decode(token, { complete: true })?.header.kid)
  const claims = jsonwebtoken.verify(token, key.getPublicKey(), { algorithms: ['RS256'], issuer, audience: issuer })
  assert.equal((claims as jsonwebtoken.JwtPayload)['scope'], 'user')
}

/** The libraries of npm, by their names. The last one has no EdDSA. */
export const libraries: Record<string, { use: Library, algorithms: string[] }> = {
  oauth4webapi: { use: useOauth4webapi, algorithms: ['EdDSA', 'ES256', 'RS256'] },
  'openid-client': { use: useOpenidClient, algorithms: ['EdDSA', 'ES256', 'RS256'] },
  jose: { use: useJose, algorithms: ['EdDSA', 'ES256', 'RS256'] },
  'jsonwebtoken and jwks-rsa': { use: useJsonwebtoken, algorithms: ['RS256'] }
}
