import t from 'tap'
import { createKeyEncryption } from '../../src/keys/key-encryption.ts'
import { secret } from '../support/app.ts'

const jwk = { kty: 'OKP', crv: 'Ed25519', x: 'x', d: 'd' }
const [one, two, three] = ['one', 'two', 'three'].map(name => `${secret}, ${name}`) as [string, string, string]
const wrongSecret = { name: 'StartupError', message: /^KEY_ENCRYPTION_SECRET does not open / }

t.test('an encrypted key can be decrypted only with its name and its secret', async t => {
  const encryption = createKeyEncryption(secret)
  const encrypted = await encryption.encrypt('one', jwk)
  t.same(await encryption.decrypt({ name: 'one', encrypted }), jwk)
  const [header, , iv, text, tag] = encrypted.split('.')
  const changed = [header, '', iv, `${text?.startsWith('A') ? 'B' : 'A'}${String(text).slice(1)}`, tag].join('.')
  const bad = { 'moved to another row': ['two', encrypted], changed: ['one', changed], empty: ['one', ''] }
  for (const [what, [name = '', text = '']] of Object.entries(bad)) {
    await t.rejects(encryption.decrypt({ name, encrypted: text }), wrongSecret, what)
  }
  await t.rejects(createKeyEncryption(`${secret}.`).decrypt({ name: 'one', encrypted }), wrongSecret)
})

t.test('while the secret is changed, each of the two opens a key', async t => {
  const changing = createKeyEncryption(two, one)
  const before = { name: 'key', encrypted: await createKeyEncryption(one).encrypt('key', jwk) }
  t.same(await changing.decrypt(before), jwk)
  t.equal(await changing.findSecret(before), one)
  const both = { name: 'key', encrypted: await changing.addCopy(before) }
  t.equal(await changing.addCopy(both), both.encrypted, 'a copy is added once')
  t.equal(await changing.findSecret(both), two)
  for (const each of [one, two]) t.same(await createKeyEncryption(each).decrypt(both), jwk)
  await t.rejects(createKeyEncryption(three).addCopy(both), wrongSecret)
  const third = { name: 'key', encrypted: await createKeyEncryption(three, one).addCopy(both) }
  for (const each of [one, two, three]) t.same(await createKeyEncryption(each).decrypt(third), jwk, 'none is lost')
})

t.test('a new key is encrypted for those who can read another', async t => {
  const changing = createKeyEncryption(two, one)
  const opensLike = async (readers: string) => {
    const example = { name: 'root', encrypted: await createKeyEncryption(readers).encrypt('root', jwk) }
    const encrypted = await changing.encryptLike(example, 'key', jwk)
    return await Promise.all([one, two].map(each =>
      createKeyEncryption(each).decrypt({ name: 'key', encrypted }).then(() => true, () => false)))
  }
  t.same(await opensLike(one), [true, false])
  t.same(await opensLike(two), [false, true])
  await t.rejects(opensLike(three), wrongSecret)
})
