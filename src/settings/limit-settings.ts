import { oneOf, rateLimit } from './forms.ts'

/** The settings of the limits on guessing. */
export const limits = {
  RATE_LIMITS: oneOf(['on', 'off'], 'on', {
    description: 'off turns all limits off, for load tests on a closed network. ' +
      'Each limit is a number of attempts and a number of seconds.'
  }),
  LIMIT_PASSWORD_BY_ACCOUNT: rateLimit('50/900', { description: 'Wrong passwords for one account.' }),
  LIMIT_PASSWORD_BY_IP: rateLimit('100/900', { description: 'Wrong passwords from one address.' }),
  LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: rateLimit('10/900', {
    description: 'Wrong passwords for one account from one address.'
  }),
  LIMIT_PASSWORD_BY_NETWORK: rateLimit('300/900', { description: 'Wrong passwords from one /48 of IPv6.' }),
  LIMIT_PASSWORD_IN_A_ROW: rateLimit('100/2592000', {
    description: 'Wrong passwords for one account, without a right one in between.'
  }),
  LIMIT_LOGIN_BY_ACCOUNT: rateLimit('200/3600', {
    description: 'Logins, reauthentications and password changes of one account.'
  }),
  LIMIT_REGISTER_BY_IP: rateLimit('100/3600', { description: 'Registrations from one address.' }),
  LIMIT_REGISTER_BY_NETWORK: rateLimit('300/3600', { description: 'Registrations from one /48 of IPv6.' }),
  LIMIT_REFRESH_BY_SESSION: rateLimit('120/60', { description: 'Refreshes of one session.' }),
  LIMIT_REFRESH_BY_ACCOUNT: rateLimit('480/60', {
    description: 'Refreshes of all live sessions of one account. More than twice those of one session.'
  }),
  LIMIT_CLIENT_BY_IP: rateLimit('100/900', { description: 'Wrong credentials of OAuth clients from one address.' })
}
