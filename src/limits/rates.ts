import type { Settings } from '../config.ts'
import type { RateLimit } from '../errors.ts'

/**
 * Every limit, by the name that clients read in the RateLimit header field, and the setting that says how much it lets
 * pass.
 */
const settingOf = {
  'password-by-account': 'LIMIT_PASSWORD_BY_ACCOUNT',
  'password-by-ip': 'LIMIT_PASSWORD_BY_IP',
  'password-by-account-and-ip': 'LIMIT_PASSWORD_BY_ACCOUNT_AND_IP',
  'register-by-ip': 'LIMIT_REGISTER_BY_IP',
  'refresh-by-session': 'LIMIT_REFRESH_BY_SESSION'
} as const satisfies Record<string, keyof Settings>

export type LimitName = keyof typeof settingOf

/** The settings that limits are read from. */
export type RateSettings = Pick<Settings, (typeof settingOf)[LimitName]>

/** What the settings say about one limit. */
export function readRate (settings: RateSettings, name: LimitName): RateLimit {
  const [attempts, windowSeconds] = settings[settingOf[name]].split('/').map(Number) as [number, number]
  return { name, attempts, windowSeconds }
}
