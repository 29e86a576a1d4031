import { createHmac, hkdfSync } from 'node:crypto'
import t from 'tap'
import { createRefreshTokens, createRotationSalt, hashRefreshToken } from '../../src/sessions/refresh-tokens.ts'
import { secret } from '../support/app.ts'

const root = Buffer.from(secret)
const tokens = createRefreshTokens(root)
const session = crypto.randomUUID()
const salt = createRotationSalt()

t.test('a refresh token has 256 random bits, and no two are the same', async t => {
  const made = Array.from({ length: 1_000 }, () => tokens.create())
  t.equal(new Set(made).size, made.length)
  for (const token of made.slice(0, 10)) t.equal(Buffer.from(token, 'base64url').length, 32)
  const ones = Buffer.concat(made.map(token => Buffer.from(token, 'base64url'))).reduce(
    (sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0
  )
  t.ok(Math.abs(ones / (made.length * 256) - 0.5) < 0.01, 'about half of the bits are ones')
})

t.test('the successor of a refresh token is the same each time, and has the form of a refresh token', async t => {
  const spent = tokens.create()
  const successor = tokens.deriveSuccessor(spent, session, salt)
  t.equal(tokens.deriveSuccessor(spent, session, salt), successor)
  t.equal(createRefreshTokens(root).deriveSuccessor(spent, session, salt), successor, 'on another replica too')
  t.match(successor, /^[\w-]{43}$/)
  t.ok(hashRefreshToken(successor))
})

t.test('a spent refresh token alone does not reveal its successor', async t => {
  const spent = tokens.create()
  const successor = tokens.deriveSuccessor(spent, session, salt)
  t.not(tokens.deriveSuccessor(spent, session, createRotationSalt()), successor, 'another salt')
  const other = createRefreshTokens(Buffer.from('another secret'))
  t.not(other.deriveSuccessor(spent, session, salt), successor, 'another secret')
  t.not(tokens.deriveSuccessor(spent, crypto.randomUUID(), salt), successor, 'another session')
  t.not(tokens.deriveSuccessor(tokens.create(), session, salt), successor, 'another token')
  const deriveWith = (key: string | Uint8Array) =>
    createHmac('sha256', key).update(salt).update(session).update(spent).digest('base64url')
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'signout refresh token rotation', 32))
  t.equal(deriveWith(key), successor, 'with the key the successor is found')
  for (const guess of ['', spent, hashRefreshToken(spent) ?? '', session, salt, secret]) {
    t.not(deriveWith(guess), successor, 'the key is no other value that there is')
  }
})

t.test('each rotation of a refresh token has its own salt', async t => {
  t.equal(salt.length, 32)
  t.not(Buffer.compare(createRotationSalt(), createRotationSalt()), 0)
})

t.test('only one spelling of a refresh token is accepted', async t => {
  const token = tokens.create()
  t.equal(hashRefreshToken(token)?.length, 32)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const twin = token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1) ?? '') ^ 1]
  t.same(Buffer.from(twin, 'base64url'), Buffer.from(token, 'base64url'))
  for (const other of [twin, `${token}=`, `${token} `, ` ${token}`, token.slice(1), `${token}A`, '', '+'.repeat(43)]) {
    t.equal(hashRefreshToken(other), undefined, other)
  }
})
