import { Type } from 'typebox'
import { integer, oneOf, origins } from './forms.ts'

/** The settings for clients in browsers. */
export const browsers = {
  CORS_ORIGINS: Type.Optional(origins({
    description: 'The origins whose pages may call the service and read its answers (CORS), separated by commas. ' +
      'Without it, only pages of the service itself may.',
    example: 'https://app.example.com'
  })),
  COOKIES: oneOf(['on', 'off'], 'off', {
    description: 'on lets browser apps keep the refresh token in a cookie that no script can read. ' +
      'It needs an ISSUER with https, or on a loopback address. docs/browsers.md has more.'
  }),
  HSTS_MAX_AGE: integer(0, 63_072_000, 0, ' (seconds)', {
    description: 'How long browsers may use only HTTPS for this host (Strict-Transport-Security). ' +
      'Set it if every address of the host has HTTPS. 0 sends no header.'
  })
}

/** Returns true for an address from which browsers keep a secure cookie: https, or a loopback address. */
export function isSecureAddress (address: string): boolean {
  const { protocol, hostname } = new URL(address)
  return protocol === 'https:' || /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
}
