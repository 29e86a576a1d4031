import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { StartupError } from '../errors.ts'

/**
 * The variables of the environment, and those of a `.env` file in the working directory where the environment has none.
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
