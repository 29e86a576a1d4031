import { randomBytes } from 'node:crypto'
import { access, constants, mkdir, open, readFile, rename, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { StartupError } from '../../errors.ts'

/** The folder of the embedded mode, locked by this process. */
export interface DataDir {
  readonly path: string
  /**
   * Returns the secret that is created at the first start and kept in the folder, readable only by its owner. Rejects
   * with a {@link StartupError} if it is damaged.
   */
  readSecret (): Promise<string>
  /**
   * Resolves if the folder, and the database in it, are still there and can be written. Rejects otherwise. Data that is
   * written to files that were removed, or replaced by a copy, is lost.
   */
  check (): Promise<void>
  /** Releases the lock, so that other processes can use the folder. The system does so too when the process ends. */
  unlock (): Promise<void>
}

/**
 * Creates the folder if it is missing, closed to other users, and locks it.
 *
 * The lock is the system's own, on an open file. A killed process cannot leave it behind, and two processes cannot hold
 * it. Rejects with a {@link StartupError} when another process holds it, or when the folder cannot be written.
 */
export async function openDataDir (dataDir: string): Promise<DataDir> {
  const { tryLock } = await import('fs-native-extensions')
  const path = resolve(dataDir)
  const lock = await openLockFile(path)
  if (!tryLock(lock.fd)) {
    await lock.close()
    throw new StartupError(`DATA_DIR ${path} is in use by another process: stop it first, or name another folder.`)
  }
  return {
    path,
    readSecret: () => readOrMakeSecret(join(path, 'key-encryption-secret')),
    check: () => check(path, lock),
    unlock: () => lock.close()
  }
}

async function check (path: string, lock: FileHandle): Promise<void> {
  const [opened, found] = await Promise.all([lock.stat(), stat(join(path, 'lock'))])
  if (opened.ino !== found.ino || opened.dev !== found.dev) {
    throw new Error(`DATA_DIR ${path} is not the folder that was opened: another one is in its place.`)
  }
  await access(join(path, 'postgres', 'PG_VERSION'), constants.W_OK)
}

async function openLockFile (path: string): Promise<FileHandle> {
  try {
    // An existing folder keeps its mode: others may use it too.
    await mkdir(path, { recursive: true, mode: 0o700 })
    return await open(join(path, 'lock'), 'a', 0o600)
  } catch (cause) {
    throw new StartupError(
      `DATA_DIR ${path} cannot be written (${(cause as NodeJS.ErrnoException).code}): name a folder that this user may write.`,
      { cause }
    )
  }
}

/**
 * Returns the secret in a file, or creates it. Only the holder of the lock of the folder calls this, so no other
 * process creates the file meanwhile.
 */
async function readOrMakeSecret (file: string): Promise<string> {
  try {
    const secret = await readFile(file, 'utf8')
    if (Buffer.byteLength(secret) < 32) {
      throw new StartupError(`DATA_DIR: the secret in ${file} is damaged: restore it from a backup.`)
    }
    return secret
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const secret = randomBytes(32).toString('base64url')
  // Renamed into place, so that a start that is killed here leaves no half-written secret.
  await writeFile(`${file}.new`, secret, { mode: 0o600, flush: true })
  await rename(`${file}.new`, file)
  return secret
}
