import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

/** A failure of the services. The message is one sentence that says what to do about it. */
export class ServicesError extends Error {
  override readonly name = 'ServicesError'
}

/**
 * Returns folders of programs that are not in PATH. Debian keeps Postgres out of it, and Homebrew its keg-only
 * packages.
 */
function extraFolders (): string[] {
  return ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt']
    .filter(existsSync)
    .flatMap(parent => readdirSync(parent)
      .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
      .map(name => join(parent, name, 'bin')))
}

/** Returns the folder that holds all of these programs, or undefined. */
export function findProgramFolder (...names: string[]): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...extraFolders()]
  return folders.find(folder => names.every(name => existsSync(join(folder, name))))
}

/** Runs a program to its end, and returns its output. Throws a {@link ServicesError} with its output if it fails. */
export function run (
  program: string,
  args: string[],
  options: { uid?: number, gid?: number, cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number } = {}
): string {
  const { timeoutMs = 60_000, ...rest } = options
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    ...rest, encoding: 'utf8', timeout: timeoutMs, stdio: ['ignore', 'pipe', 'pipe']
  })
  if (error !== undefined || status !== 0) {
    throw new ServicesError(`${program} ${args.join(' ')} failed: ${error?.message ?? `${stderr}${stdout}`.trim()}`)
  }
  return stdout
}

/** Returns true if a program can be run and exits with 0. */
export function succeeds (
  program: string, args: string[], options: { uid?: number, gid?: number, cwd?: string } = {}
): boolean {
  return spawnSync(program, args, { ...options, stdio: 'ignore', timeout: 10_000 }).status === 0
}

const lowestPort = 10_000
const highestPort = 31_999

/** The port at which this process looks next. Processes that run at the same time begin at different ports. */
let nextPort = lowestPort + process.pid * 97 % (highestPort - lowestPort)
/** The files by which this process has claimed ports: no other process takes such a port before it is used. */
const claims = new Set<string>()

/**
 * Returns the first of `count` neighbouring ports of the loopback address on which nothing listens, each time others.
 * They are below those that the system gives to connections, which could take one before it is used.
 *
 * @param highest the highest that the last of them may be
 */
export async function findFreePort (count = 1, highest = highestPort): Promise<number> {
  for (;;) {
    if (nextPort + count - 1 > highest) nextPort = lowestPort
    const first = nextPort
    nextPort += count
    const ports = Array.from({ length: count }, (_, index) => first + index)
    if (ports.every(claim) && (await Promise.all(ports.map(isFree))).every(Boolean)) return first
  }
}

/** Claims a port for this process. Returns false if another process that still runs has claimed it. */
function claim (port: number): boolean {
  const file = join(tmpdir(), `signout-port-${port}`)
  if (claims.has(file)) return true
  try {
    // A process that was killed leaves its files.
    if (existsSync(file) && !isRunning(Number(readFileSync(file, 'utf8') || NaN))) rmSync(file, { force: true })
    writeFileSync(file, String(process.pid), { flag: 'wx' })
  } catch {
    return false
  }
  if (claims.size === 0) process.once('exit', () => { for (const claim of claims) rmSync(claim, { force: true }) })
  claims.add(file)
  return true
}

/** Returns true if a process runs, and if that is not known. */
export function isRunning (pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** Returns true if nothing listens on a port of the loopback address. */
export function isFree (port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => { resolve(false) })
    server.listen(port, '127.0.0.1', () => { server.close(() => { resolve(true) }) })
  })
}

/** Returns a Python that has PyJWT, or undefined. Debian's packages are for its own Python, which may be the second. */
export function findPyJwt (): string | undefined {
  return ['python3', '/usr/bin/python3'].find(python => succeeds(python, ['-c', 'import jwt, cryptography']))
}
