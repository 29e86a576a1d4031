import t from 'tap'
import { randomName } from '../support/services.ts'
import { ip, known, onEachLimits, refusalOf } from './each-limits.ts'

/** The name of the limit that refuses. Undefined if none does. */
const refused = (counted: Promise<void>): Promise<string | undefined> =>
  counted.then(() => undefined, error => error.limit.name)

t.test('logins and refreshes are limited by account, whatever the session', t => onEachLimits(t, {
  LIMIT_LOGIN_BY_ACCOUNT: '2/900', LIMIT_REFRESH_BY_SESSION: '2/60', LIMIT_REFRESH_BY_ACCOUNT: '3/60'
}, async (t, limits) => {
  const userId = randomName()
  const login = (userId: string) => refused(limits.login(userId))
  t.same([await login(userId), await login(userId)], [undefined, undefined])
  t.equal(await login(userId), 'login-by-account')
  t.equal(await login(randomName()), undefined)

  const refresh = (id: string, owner = userId, isLive = true) => refused(limits.refresh({ id, userId: owner, isLive }))
  for (let time = 0; time < 4; time++) {
    t.equal(await refresh(randomName(), userId, false), undefined, 'a session that is over does not count')
  }
  const session = randomName()
  t.same([await refresh(session), await refresh(session)], [undefined, undefined])
  t.same([await refresh(session), await refresh(session)], ['refresh-by-session', 'refresh-by-session'])
  t.equal(await refresh(randomName()), undefined, 'what one session was refused does not count for the others')
  t.equal(await refresh(randomName()), 'refresh-by-account')
  t.equal(await refresh(randomName(), randomName()), undefined)
}))

t.test('many networks in one /48 of IPv6 are also limited together', t => onEachLimits(t, {
  LIMIT_REGISTER_BY_IP: '2/900',
  LIMIT_REGISTER_BY_NETWORK: '3/900',
  LIMIT_PASSWORD_BY_IP: '2/900',
  LIMIT_PASSWORD_BY_NETWORK: '3/900'
}, async (t, limits) => {
  const within = (subnet: number, network = 1) => `2001:db8:${network}:${subnet}::1`
  const register = (ip: string) => refused(limits.register(ip))
  const registered: Array<string | undefined> = []
  for (const subnet of [1, 1, 1, 2, 3]) registered.push(await register(within(subnet)))
  t.same(registered, [undefined, undefined, 'register-by-ip', undefined, 'register-by-network'])
  t.equal(await register(within(1, 2)), undefined, 'another /48')

  const guessed: Array<string | undefined> = []
  for (const subnet of [1, 1, 1, 2, 3]) guessed.push(await refusalOf(limits, randomName(), within(subnet)))
  t.same(guessed, [undefined, undefined, 'password-by-ip', undefined, 'password-by-network'])
  t.equal(await refusalOf(limits, randomName(), within(3, 2)), undefined, 'another /48')
}))

t.test('addresses of IPv4 have no network in common', t => onEachLimits(t, {
  LIMIT_REGISTER_BY_NETWORK: '1/900', LIMIT_PASSWORD_BY_NETWORK: '1/900'
}, async (t, limits) => {
  for (const last of [7, 8, 9, 9]) {
    await t.resolves(limits.register(ip(last)))
    t.equal(await refusalOf(limits, randomName(), ip(last)), undefined)
  }
}))

t.test('strangers in the same /48 do not lock an owner out at a known place', t => onEachLimits(t, {
  LIMIT_PASSWORD_BY_NETWORK: '2/900', LIMIT_PASSWORD_BY_ACCOUNT: '1/900'
}, async (t, limits) => {
  const within = (subnet: number) => `2001:db8:1:${subnet}::1`
  for (const subnet of [1, 2]) t.equal(await refusalOf(limits, randomName(), within(subnet)), undefined)
  const owner = randomName()
  t.equal(await refusalOf(limits, owner, within(3)), 'password-by-network')
  for (let time = 0; time < 2; time++) {
    t.equal(await refusalOf(limits, owner, within(3), known), undefined, 'limits of strangers do not apply')
  }
}))
