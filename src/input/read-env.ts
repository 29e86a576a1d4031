import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { StartupError } from '../errors.ts'

/**
 * Returns the variables of the environment, and of a `.env` file in the working directory. The environment comes first.
 * Throws a `StartupError` if the file cannot be read.
 */
export function readEnv (): Record<string, string | undefined> {
  return { ...readDotEnv(), ...process.env }
}

function readDotEnv (): Record<string, string | undefined> {
  try {
    return parseEnv(readFileSync('.env', 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new StartupError(`.env cannot be read (${(error as Error).message}).`)
  }
}
