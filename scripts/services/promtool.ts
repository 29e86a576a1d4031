import { join } from 'node:path'
import { findProgramFolder } from './programs.ts'

/** Returns the path of promtool, or undefined if it is not installed. */
export function findPromtool (): string | undefined {
  const folder = findProgramFolder('promtool')
  return folder && join(folder, 'promtool')
}
