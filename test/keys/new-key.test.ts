import t from 'tap'
import { makeKey } from '../../src/keys/new-key.ts'

t.test('no kid begins with a hyphen, which a command would take for an option', async t => {
  // Of 64 thumbprints one does.
  const made = await Promise.all(Array.from({ length: 700 }, () => makeKey('EdDSA')))
  t.same(made.map(({ kid }) => kid).filter(kid => !/^[A-Za-z0-9_][A-Za-z0-9_-]{42}$/.test(kid)), [])
})
