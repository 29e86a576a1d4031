// A service that asks signout about each token (RFC 7662), with Node and no package. It learns of a logout at once.
// Register it first: `npx signout client create articles` prints the secret. Run it with
// `SIGNOUT_URL=http://127.0.0.1:3000 CLIENT_ID=articles CLIENT_SECRET=… PORT=8080 node introspection.js`.
import { createServer } from 'node:http'

const { SIGNOUT_URL = 'http://127.0.0.1:3000', CLIENT_ID = '', CLIENT_SECRET = '', PORT = '8080' } = process.env
const credentials = [CLIENT_ID, CLIENT_SECRET].map(encodeURIComponent).join(':')
const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`
const scope = 'articles:read'

/** Returns the status of a request, and the claims of its token with 200. */
async function check (header = '') {
  const token = /^Bearer +([\w~+/.-]+=*)$/i.exec(header)?.[1]
  if (token === undefined) return { status: 401 }
  try {
    const answer = await fetch(`${SIGNOUT_URL}/oauth/introspect`, {
      method: 'POST',
      headers: { authorization },
      body: new URLSearchParams({ token }),
      signal: AbortSignal.timeout(2_000)
    })
    // 503, or wrong credentials of this service: neither says anything about the token.
    if (!answer.ok) return { status: 503 }
    const claims = await answer.json()
    // A refresh token is active too, and has no token_type.
    if (!claims.active || claims.token_type !== 'Bearer') return { status: 401 }
    return claims.scope.split(' ').includes(scope) ? { status: 200, claims } : { status: 403 }
  } catch {
    return { status: 503 }
  }
}

createServer((request, response) => {
  check(request.headers.authorization).then(({ status, claims }) => {
    const challenge = status === 401 && { 'www-authenticate': 'Bearer' }
    const retry = status === 503 && { 'retry-after': '1' }
    response.writeHead(status, { 'content-type': 'application/json', ...challenge, ...retry })
    response.end(JSON.stringify(claims === undefined ? { error: 'refused' } : { user: claims.sub }))
  })
}).listen(Number(PORT), '127.0.0.1')
