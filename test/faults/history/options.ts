import { InvalidArgumentError } from 'commander'

const maxMinutes = 1_440

/** Reads a number of minutes from the command line. */
export function toMinutes (text: string): number {
  const minutes = Number(text)
  if (!(minutes > 0 && minutes <= maxMinutes)) {
    throw new InvalidArgumentError(`It must be a number above 0 and up to ${maxMinutes}.`)
  }
  return minutes
}

/** Reads a seed from the command line. */
export function toSeed (text: string): number {
  const seed = Number(text)
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 31) {
    throw new InvalidArgumentError(`It must be a whole number from 0 to ${2 ** 31 - 1}.`)
  }
  return seed
}
