import t from 'tap'
import { createClaimsCheck } from '../../src/tokens/claims.ts'

t.test('a token counts from the leeway before its iat to the leeway after its exp, to the millisecond', async t => {
  const leewaySeconds = 5
  let nowMs = 0
  const checkClaims: (claims: unknown) => void = createClaimsCheck({ leewaySeconds, now: () => nowMs })
  const claims = { jti: 'a', iat: 1_000, exp: 1_900 }
  const expected: Array<[nowMs: number, code: string | undefined]> = [
    [994_999, 'invalid_token'], [995_000, undefined], [1_904_999, undefined], [1_905_000, 'token_expired']
  ]
  for (const [at, code] of expected) {
    nowMs = at
    if (code === undefined) t.doesNotThrow(() => { checkClaims(claims) }, `at ${at} ms`)
    else t.throws(() => { checkClaims(claims) }, { code }, `at ${at} ms`)
  }
  nowMs = NaN
  t.throws(() => { checkClaims(claims) }, { code: 'token_expired' }, 'a clock that is no number')
})
