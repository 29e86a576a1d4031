import t from 'tap'
import { createVerifiedTokens, type VerifiedTokensOptions } from '../../src/tokens/verified-tokens.ts'

const leewayMs = 5_000
const exp = 2_000
const claimsOf = (jti: string, more: object = {}) => ({ jti, exp, ...more })

/** A memory with a clock that the test sets, in seconds. */
function remembering (options: Partial<VerifiedTokensOptions> = {}) {
  const clock = { seconds: 1_000 }
  const tokens = createVerifiedTokens({ maxTokens: 3, leewayMs, now: () => clock.seconds * 1000, ...options })
  const jtiOf = (text: string) => tokens.find(text)?.claims.jti
  return { tokens, clock, jtiOf }
}

t.test('a verified token is found by its exact text, and by no other text', async t => {
  const { tokens, jtiOf } = remembering()
  const text = `Bearer ${'h'.repeat(60)}.${'p'.repeat(300)}.${'s'.repeat(86)}`
  tokens.remember(text, claimsOf('a'))
  t.equal(jtiOf(text), 'a')
  const changed = Array.from(text, (_character, at) => `${text.slice(0, at)}~${text.slice(at + 1)}`)
  t.same(changed.filter(other => jtiOf(other) !== undefined), [])
  for (const other of [
    text.toLowerCase(),
    `${text} `,
    ` ${text}`,
    `${text}.`,
    text.slice(1),
    text.slice(-43),
    text.slice(-42),
    '',
    'Bearer '
  ]) { t.equal(jtiOf(other), undefined, other.slice(0, 20)) }
  t.equal(tokens.size, 1, 'and looking for others forgets nothing')
})

t.test('two tokens with the same ending are not confused', async t => {
  const { tokens, jtiOf } = remembering()
  const end = 's'.repeat(86)
  tokens.remember(`Bearer a.${end}`, claimsOf('a'))
  t.equal(jtiOf(`Bearer b.${end}`), undefined)
  tokens.forget(`Bearer b.${end}`)
  t.equal(jtiOf(`Bearer a.${end}`), 'a', 'forgetting one is not forgetting the other')
  tokens.remember(`Bearer b.${end}`, claimsOf('b'))
  t.equal(jtiOf(`Bearer b.${end}`), 'b')
  t.equal(jtiOf(`Bearer a.${end}`), undefined)
  t.equal(tokens.size, 1)
})

t.test('the claims of a remembered token are deeply frozen', async t => {
  const { tokens } = remembering()
  const claims = claimsOf('a', { roles: { list: ['user'] } })
  tokens.remember('a', claims)
  t.equal(tokens.find('a')?.claims, claims, 'the same object for everybody')
  t.throws(() => { claims.jti = 'b' }, TypeError)
  t.throws(() => { (claims as unknown as { roles: { list: string[] } }).roles.list.push('admin') }, TypeError)
})

t.test('the memory never exceeds its bound, and drops the least recently used token first', async t => {
  const { tokens, jtiOf } = remembering()
  for (const jti of ['a', 'b', 'c']) tokens.remember(jti, claimsOf(jti))
  jtiOf('a')
  jtiOf('c')
  tokens.remember('d', claimsOf('d'))
  t.equal(jtiOf('b'), undefined)
  t.equal(tokens.size, 3)
  tokens.remember('a', claimsOf('a again'))
  t.equal(tokens.size, 3, 'the same one again takes no more room')
  tokens.remember('e', claimsOf('e'))
  t.same(['a', 'b', 'c', 'd', 'e'].map(jtiOf), ['a again', undefined, undefined, 'd', 'e'])
})

t.test('the memory drops tokens in the right order after any acts', async t => {
  const { tokens } = remembering({ maxTokens: 20 })
  let expected: string[] = []
  let random = 1
  const next = (below: number) => (random = random * 48_271 % 2_147_483_647) % below
  const mistakes: string[] = []
  for (let step = 0; step < 20_000; step++) {
    const text = `t${next(40)}`
    const act = next(10)
    const others = expected.filter(known => known !== text)
    if (act === 0) {
      tokens.forget(text)
      expected = others
    } else if (act < 4) {
      tokens.remember(text, claimsOf(text))
      expected = [...others, text].slice(-20)
    } else if (tokens.find(text)?.claims.jti === text) {
      if (!expected.includes(text)) mistakes.push(`${text} is found after it was forgotten, in step ${step}`)
      expected = [...others, text]
    } else if (expected.includes(text)) mistakes.push(`${text} is missing, in step ${step}`)
    if (tokens.size !== expected.length) {
      mistakes.push(`${tokens.size} are held instead of ${expected.length}, in step ${step}`)
    }
  }
  t.same(mistakes, [])
  t.same(expected.filter(text => tokens.find(text) === undefined), [])
})

t.test('the times of a remembered token are checked by the clock on every use', async t => {
  const cases: Record<
    string,
    { options?: Partial<VerifiedTokensOptions>; claims?: object; good: number[]; bad: number[] }
  > = {
    'until exp and the leeway': { good: [1_000, 2_004.999], bad: [2_005, 3_000] },
    'not before nbf and the leeway': { claims: { nbf: 1_500 }, good: [1_495, 2_000], bad: [1_494.999] },
    'whatever nbf says, where it is not to be looked at': {
      options: { ignoreNotBefore: true },
      claims: { nbf: 1_500 },
      good: [1_000],
      bad: [2_006]
    },
    'not before iat and the leeway': { claims: { iat: 900 }, good: [895], bad: [894.999] },
    'until it is too old, without a leeway': {
      options: { maxAgeMs: 100_000 },
      claims: { iat: 1_000 },
      good: [1_099.999],
      bad: [1_100]
    },
    'until it was remembered for long enough': { options: { ttlMs: 10_000 }, good: [1_009.999], bad: [1_010] },
    'never, with a clock that is none': { good: [], bad: [NaN] }
  }
  for (const [name, { options = {}, claims = {}, good, bad }] of Object.entries(cases)) {
    for (const [seconds, expected] of [
      ...good.map(at => [at, 'a'] as const),
      ...bad.map(at => [at, undefined] as const)
    ]) {
      const { tokens, clock, jtiOf } = remembering(options)
      tokens.remember('a', claimsOf('a', claims))
      clock.seconds = seconds
      t.equal(jtiOf('a'), expected, `${name}: at ${seconds}`)
      t.equal(tokens.size, expected === undefined ? 0 : 1, 'and what is over is dropped')
    }
  }
})
