import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'

/** A verifier's copy of published keys, and what it has seen of the answers. */
export interface PublishedCache {
  getKey: JWTVerifyGetKey
  seen: { asked: number, unchanged: number, reused: number, longestSeconds: number }
}

/**
 * Creates a copy of the keys that does exactly what `Cache-Control` and `ETag` say, and no more: it is renewed when it
 * is too old, and never because a key is unknown.
 *
 * @param addresses of the replicas, which are asked in turn, as behind a load balancer
 */
export function createPublishedCache (addresses: readonly string[]): PublishedCache {
  const seen = { asked: 0, unchanged: 0, reused: 0, longestSeconds: 0 }
  // Each replica has a copy: two of them may differ for a second, and so do their tags.
  let copy: { etag: string, keys: JSONWebKeySet, freshUntil: number } | undefined

  async function renew (): Promise<NonNullable<typeof copy>> {
    const address = addresses[seen.asked++ % addresses.length]
    // From before the question, as RFC 9111 has it: the age of an answer includes its way.
    const askedAt = performance.now()
    const answer = await fetch(`${address}/.well-known/jwks.json`, {
      headers: copy === undefined ? {} : { 'if-none-match': copy.etag }
    })
    const maxAge = Number(/^public, max-age=(\d+)$/.exec(answer.headers.get('cache-control') ?? '')?.[1])
    seen.longestSeconds = Math.max(seen.longestSeconds, maxAge)
    const freshUntil = askedAt + maxAge * 1_000
    if (answer.status === 304 && copy !== undefined) {
      seen.unchanged++
      return { ...copy, freshUntil }
    }
    if (answer.status !== 200) throw new Error(`The keys cannot be read: ${answer.status}.`)
    return { etag: String(answer.headers.get('etag')), keys: await answer.json() as JSONWebKeySet, freshUntil }
  }

  return {
    seen,
    getKey: async (header, token) => {
      if (copy !== undefined && performance.now() < copy.freshUntil) seen.reused++
      else copy = await renew()
      return await createLocalJWKSet(copy.keys)(header, token)
    }
  }
}
