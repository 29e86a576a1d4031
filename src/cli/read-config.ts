import { loadConfig, type Config } from '../config.ts'
import { readEnv } from '../input/read-env.ts'
import { describeUnknownVariable, findUnknownVariables } from '../settings/unknown-variables.ts'
import { warn } from './terminal.ts'

/** Returns the environment variables, and prints a line for each that looks like a misspelled setting. */
export function readEnvAndWarn (): Record<string, string | undefined> {
  const env = readEnv()
  for (const variable of findUnknownVariables(env)) warn(describeUnknownVariable(variable))
  return env
}

/** Returns the settings of a command. Throws a `StartupError` for the first mistake. */
export function readConfig (): Config {
  return loadConfig(readEnvAndWarn())
}
