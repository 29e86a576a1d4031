import { accessSync, constants, statfsSync } from 'node:fs'

const folder = '/dev/shm'
const neededBytes = 4 * 2 ** 30

/**
 * Returns a folder whose files are in memory, if the system has one with enough space and this user may write there.
 * To copy and remove a database takes a third of the processor time there, and a tenth in Postgres.
 *
 * @example
 * const parent = findMemoryFolder() ?? tmpdir()
 */
export function findMemoryFolder (): string | undefined {
  try {
    const { bavail, bsize } = statfsSync(folder)
    accessSync(folder, constants.W_OK)
    return bavail * bsize > neededBytes ? folder : undefined
  } catch {
    return undefined
  }
}
