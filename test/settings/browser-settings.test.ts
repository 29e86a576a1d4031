import t from 'tap'
import { loadConfig } from '../../src/config.ts'
import { refusalOf, servers } from '../support/settings.ts'

t.test('COOKIES needs an issuer from which browsers keep a secure cookie', async t => {
  t.equal(
    refusalOf({ ...servers, ISSUER: 'http://auth.example.com', COOKIES: 'on' }),
    'COOKIES is on, but browsers keep no secure cookie of http://auth.example.com: set ISSUER to an https address.'
  )
  t.match(refusalOf({ HOST: '10.0.0.1', COOKIES: 'on' }), /^COOKIES is on, .* http:\/\/10\.0\.0\.1:3000: set ISSUER/)
  for (const ISSUER of [
    'https://auth.example.com', 'http://localhost:3000', 'http://127.1.2.3:1', 'http://[::1]:1', 'http://a.localhost'
  ]) t.ok(loadConfig({ ISSUER, COOKIES: 'on' }).browsers.hasCookies, ISSUER)
  for (const ISSUER of ['http://localhost.example.com', 'http://127.0.0.1.example.com', 'http://[::2]']) {
    t.match(refusalOf({ ISSUER, COOKIES: 'on' }), /^COOKIES is on/, ISSUER)
  }
})
