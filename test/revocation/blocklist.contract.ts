import type { Test } from 'tap'
import type { Blocklist } from '../../src/revocation/blocklist.ts'
import { entryEndsAt, everyoneRevocation, keyRevocation } from '../../src/entries/revocation.ts'
import { issuedLately, nowSeconds } from '../support/tokens.ts'
import { until } from '../support/wait.ts'

/** A blocklist under test, and ways to inspect its entries. */
export interface BlocklistUnderTest {
  blocklist: Blocklist
  /** Returns the number of entries that it holds now. */
  countEntries (): Promise<number>
  /** Returns when the entry of that name ends, in milliseconds since the epoch; undefined if there is none. */
  findEnd? (key: string): Promise<number | undefined>
}

const token = (id: string, expiresAt = nowSeconds() + 60) => ({ scope: 'token', id, expiresAt } as const)
const session = (id: string, expiresAt = nowSeconds() + 60) => ({ scope: 'session', id, expiresAt } as const)

/**
 * Tests the contract of every blocklist.
 *
 * @param leewaySeconds the leeway of the blocklists that `make` creates
 */
export async function testBlocklist (
  t: Test,
  leewaySeconds: number,
  make: (t: Test) => Promise<BlocklistUnderTest>
): Promise<void> {
  await t.test('refuses a token once it was revoked, and no other', async t => {
    const { blocklist } = await make(t)
    t.equal(await blocklist.isRevoked(issuedLately('a', 's')), false)
    await blocklist.revoke([token('a')])
    t.equal(await blocklist.isRevoked(issuedLately('a', 's')), true)
    t.equal(await blocklist.isRevoked(issuedLately('a')), true)
    t.equal(await blocklist.isRevoked(issuedLately('b', 's')), false)
  })

  await t.test('refuses every token of a session once that was revoked', async t => {
    const { blocklist } = await make(t)
    await blocklist.revoke([session('s')])
    t.equal(await blocklist.isRevoked(issuedLately('a', 's')), true)
    t.equal(await blocklist.isRevoked(issuedLately('b', 's')), true)
    t.equal(await blocklist.isRevoked(issuedLately('a', 'other')), false)
    t.equal(await blocklist.isRevoked(issuedLately('s')), false, 'a token that is named like the session is not in it')
  })

  await t.test('keeps ids apart, whatever characters they are made of', async t => {
    const { blocklist } = await make(t)
    const ids = [
      'a',
      'a:b',
      'sid:a',
      'jti:a',
      ' a',
      'a ',
      'a\nb',
      'a\u0000',
      '*',
      'ä',
      '😀',
      '__proto__',
      'constructor',
      'x'.repeat(255)
    ]
    for (const id of ids) {
      t.equal(await blocklist.isRevoked(issuedLately(id, 'none')), false, `${JSON.stringify(id)} before`)
      await blocklist.revoke([token(id)])
      t.equal(await blocklist.isRevoked(issuedLately(id, 'none')), true, `${JSON.stringify(id)} after`)
    }
  })

  await t.test('takes many revocations at once, and none', async t => {
    const { blocklist, countEntries } = await make(t)
    await blocklist.revoke([])
    await blocklist.revoke(Array.from({ length: 2_500 }, (_, index) => token(`t${index}`)))
    t.equal(await countEntries(), 2_500)
    t.equal(await blocklist.isRevoked(issuedLately('t0')), true)
    t.equal(await blocklist.isRevoked(issuedLately('t2499')), true)
    t.equal(await blocklist.isRevoked(issuedLately('t2500')), false)
  })

  await t.test('may be told twice', async t => {
    const { blocklist, countEntries } = await make(t)
    const revocation = token('a')
    await blocklist.revoke([revocation, revocation])
    await blocklist.revoke([revocation])
    t.equal(await countEntries(), 1)
    t.equal(await blocklist.isRevoked(issuedLately('a')), true)
  })

  await t.test('adds nothing for a token that can no longer be accepted', async t => {
    const { blocklist, countEntries } = await make(t)
    await blocklist.revoke([token('a', nowSeconds() - 3 * leewaySeconds - 1), token('b', 0)])
    t.equal(await countEntries(), 0)
    t.equal(await blocklist.isRevoked(issuedLately('a')), false)
  })

  await t.test('keeps an entry for exp and three times the leeway, and then forgets it (P6)', async t => {
    const { blocklist, countEntries } = await make(t)
    const expiresAt = nowSeconds() - 3 * leewaySeconds + 3
    const endsAt = entryEndsAt(expiresAt, leewaySeconds)
    await blocklist.revoke([token('a', expiresAt)])
    t.equal(await blocklist.isRevoked(issuedLately('a')), true, 'its exp has passed, and it is still refused')
    await until('it is forgotten', async () => await blocklist.isRevoked(issuedLately('a')) === false)
    t.ok(Date.now() >= endsAt - 5, 'not before its end')
    t.ok(Date.now() < endsAt + 8_000, 'and soon after it')
    await until('it is dropped', async () => {
      await blocklist.isRevoked(issuedLately('b'))
      return await countEntries() === 0
    },
    12_000
    )
  })

  await t.test('never shortens an entry', async t => {
    const { blocklist, findEnd } = await make(t)
    const expiresAt = nowSeconds() + 600
    await blocklist.revoke([token('a', expiresAt)])
    await blocklist.revoke([token('a', nowSeconds() + 1)])
    await blocklist.revoke([token('a', 0)])
    t.equal(await blocklist.isRevoked(issuedLately('a')), true)
    if (findEnd !== undefined) t.equal(await findEnd('jti:a'), entryEndsAt(expiresAt, leewaySeconds))
    await blocklist.revoke([token('a', expiresAt + 1)])
    if (findEnd !== undefined) {
      t.equal(await findEnd('jti:a'), entryEndsAt(expiresAt + 1, leewaySeconds), 'and lengthens it')
    }
  })

  await t.test('refuses a revocation that has no end, instead of forgetting it', async t => {
    const { blocklist } = await make(t)
    for (const expiresAt of [undefined, NaN, Infinity, null, 'soon', new Date()]) {
      await t.rejects(
        blocklist.revoke([{ scope: 'token', id: 'a', expiresAt: expiresAt as number }]),
        { name: 'TypeError' },
        String(expiresAt)
      )
    }
  })

  await t.test('writes the others when one of them has ended long ago', async t => {
    const { blocklist } = await make(t)
    await blocklist.revoke([token('a'), token('b', -100), token('c')])
    t.same(await Promise.all(['a', 'b', 'c'].map(async jti => await blocklist.isRevoked(issuedLately(jti)))), [
      true,
      false,
      true
    ])
  })

  await t.test('answers nothing once it is closed', async t => {
    const { blocklist } = await make(t)
    await blocklist.ping()
    await blocklist.close()
    await t.rejects(async () => await blocklist.isRevoked(issuedLately('a')))
    await t.rejects(async () => { await blocklist.revoke([token('a')]) })
    await t.rejects(async () => { await blocklist.ping() })
  })
}

/**
 * Tests the contract of a blocklist of the service, in which signing keys, and everyone's tokens, can be revoked.
 */
export async function testRevocationsOfAll (
  t: Test,
  make: (t: Test) => Promise<Pick<BlocklistUnderTest, 'blocklist'>>
): Promise<void> {
  const subjects = [undefined, ...Array.from({ length: 20 }, (_, index) => `user-${index}`)]
  const claims = (sub: string | undefined, authTime: number | undefined) => ({
    ...issuedLately('a', 's'),
    ...sub !== undefined && { sub },
    ...authTime !== undefined && { auth_time: authTime }
  })
  /** Returns the answers for tokens of every shard. They must be the same. */
  async function ask ({ blocklist }: Pick<BlocklistUnderTest, 'blocklist'>, authTime?: number, kid?: string) {
    const answers = subjects.map(async sub => await blocklist.isRevoked(claims(sub, authTime), kid))
    const different = new Set(await Promise.all(answers))
    return different.size === 1 ? [...different][0] : 'different'
  }

  await t.test('refuses everyone who proved the password before an instant, which never moves back', async t => {
    const made = await make(t)
    t.equal(await ask(made), false)
    await made.blocklist.revoke([everyoneRevocation(1_000)])
    t.same([await ask(made), await ask(made, 999), await ask(made, 1_000)], [true, true, false])
    await made.blocklist.revoke([everyoneRevocation(900)])
    t.same([await ask(made, 999), await ask(made, 1_000)], [true, false])
    await made.blocklist.revoke([everyoneRevocation(900), everyoneRevocation(2_000), everyoneRevocation(1_500)])
    t.same([await ask(made, 1_999), await ask(made, 2_000)], [true, false])
  })

  await t.test('refuses every token of a signing key once that was revoked, without an end', async t => {
    const made = await make(t)
    await made.blocklist.revoke([keyRevocation('one-key')])
    t.same([await ask(made, 1, 'one-key'), await ask(made, 1, 'another'), await ask(made, 1)], [true, false, false])
    await made.blocklist.revoke([keyRevocation('one-key'), token('x')])
    t.equal(await ask(made, 1, 'one-key'), true)
    t.equal(await made.blocklist.isRevoked({ ...claims('user-1', 1), jti: 'one-key', sid: 'one-key' }), false)
  })

  await t.test('refuses mistakes in revocations of keys and of everyone', async t => {
    const { blocklist } = await make(t)
    for (const wrong of [
      { ...keyRevocation('k'), expiresAt: nowSeconds() },
      { ...everyoneRevocation(1), expiresAt: nowSeconds() },
      everyoneRevocation(1.5),
      everyoneRevocation(NaN),
      everyoneRevocation(-1),
      { ...everyoneRevocation(1), issuedBefore: undefined }
    ]) await t.rejects(blocklist.revoke([wrong]), TypeError, JSON.stringify(wrong))
  })
}
