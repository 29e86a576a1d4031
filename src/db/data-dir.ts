import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, writeFile, type FileHandle } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { tryLock } from 'fs-native-extensions'
import { StartupError } from '../errors.ts'

/** The folder of the embedded mode, locked by this process. */
export interface DataDir {
  readonly path: string
  /** A secret that is made at the first start and kept in the folder, readable by its owner alone. */
  readSecret (): Promise<string>
  /** Lets other processes have the folder. The system does the same when the process ends, however it ends. */
  unlock (): Promise<void>
}

/**
 * Makes the folder if need be, closed to other users, and locks it.
 *
 * The lock is the system's own, on an open file: it cannot be left behind by a killed process, nor be taken by two.
 * Throws a {@link StartupError} when another process has it.
 */
export async function openDataDir (dataDir: string): Promise<DataDir> {
  const path = resolve(dataDir)
  const lock = await openLockFile(path)
  if (!tryLock(lock.fd)) {
    await lock.close()
    throw new StartupError(`DATA_DIR ${path} is in use by another process: stop it first, or name another folder.`)
  }
  return {
    path,
    readSecret: () => readOrMakeSecret(join(path, 'key-encryption-secret')),
    unlock: () => lock.close()
  }
}

async function openLockFile (path: string): Promise<FileHandle> {
  try {
    // A folder that is there already keeps its mode: it may be one that others use too.
    await mkdir(path, { recursive: true, mode: 0o700 })
    return await open(join(path, 'lock'), 'a', 0o600)
  } catch (cause) {
    throw new StartupError(`DATA_DIR ${path} cannot be written (${(cause as NodeJS.ErrnoException).code}): name a folder that this user may write.`, { cause })
  }
}

/** Only the holder of the folder's lock comes here, so that nobody else makes the file meanwhile. */
async function readOrMakeSecret (file: string): Promise<string> {
  try {
    const secret = await readFile(file, 'utf8')
    if (Buffer.byteLength(secret) < 32) throw new StartupError(`DATA_DIR: the secret in ${file} is damaged: restore it from a backup.`)
    return secret
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const secret = randomBytes(32).toString('base64url')
  // Renamed into place, so that a start that is killed here leaves no half of a secret.
  await writeFile(`${file}.new`, secret, { mode: 0o600, flush: true })
  await rename(`${file}.new`, file)
  return secret
}
