/**
 * True in the long form of the tests: `npm run test:long`. `npm test` runs the short form, which checks the same on
 * fewer samples.
 */
export const isLong: boolean = process.env['TEST_FORM'] === 'long'

/** True in `npm run test:quick`, which runs tests of both storages on the real servers alone. */
export const isQuick: boolean = process.env['TEST_FORM'] === 'quick'

/**
 * Returns the count for the form that runs.
 *
 * @example
 * const rounds = inForm({ short: 80, long: 400 })
 */
export function inForm ({ short, long }: { short: number, long: number }): number {
  return isLong ? long : short
}
