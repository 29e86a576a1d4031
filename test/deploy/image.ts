import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { packageRoot } from '../../src/package-root.ts'
import { scratchFolder, type Env } from '../support/app.ts'

/** Returns the instructions of the last stage of the Dockerfile, each as one line. */
export function lastStage (): string[] {
  const lines = readFileSync(join(packageRoot, 'Dockerfile'), 'utf8').replaceAll(/\\\n\s*/g, '').split('\n')
  return lines.slice(lines.findLastIndex(line => line.startsWith('FROM ')))
}

/** Returns the command of the health check, as Docker runs it. */
export function healthCommand (): string[] {
  const check = lastStage().find(line => line.startsWith('HEALTHCHECK ')) ?? ''
  return JSON.parse(/CMD (.*)/.exec(check)?.[1] ?? '')
}

/** The environment of the image. */
export function imageEnv (): Env {
  const line = lastStage().find(line => line.startsWith('ENV ')) ?? ''
  return Object.fromEntries(line.slice(4).split(' ').map(pair => pair.split('=')))
}

/** The files of the image in a folder, and a folder for data. */
export interface Layout {
  app: string
  data: string
}

/**
 * Copies what the last stage of the Dockerfile copies into a folder: the packages that `npm ci --omit=dev` installs,
 * the build and the files that it names. Everyone may read them and only their owner may write them, as in an image.
 */
export function layOutImage (t: Test): Layout {
  const folder = scratchFolder(t)
  chmodSync(folder, 0o755)
  const app = join(folder, 'app')
  const data = join(folder, 'data')
  for (const line of lastStage().filter(line => line.startsWith('COPY '))) {
    const [, stage, source = '', target = ''] = /^COPY (?:--from=(\w+) )?(\S+) (\S+)$/.exec(line) ?? []
    if (stage === 'base') continue
    if (stage === 'dependencies') copyPackages(join(app, target))
    else copy(source.replace('/app/', ''), join(app, target === './' ? source : target))
  }
  mkdirSync(data, { mode: 0o700 })
  if (process.getuid?.() === 0) chownSync(data, 1000, 1000)
  execFileSync('chmod', ['-R', 'a+rX,a-w', app])
  t.teardown(() => { execFileSync('chmod', ['-R', 'u+w', app]) })
  return { app, data }
}

/** Returns a command that runs another one as the user of the image, without a capability and a way to get one. */
export function confined (command: string[]): [program: string, args: string[]] {
  const asUser = process.getuid?.() === 0
    ? ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', '--bounding-set=-all', '--inh-caps=-all',
        '--no-new-privs']
    : []
  const [program = '', ...args] = [...asUser, ...command]
  return [program, args]
}

/** Copies the packages that the lock file does not mark as needed for development only. */
function copyPackages (target: string): void {
  const { packages } = JSON.parse(readFileSync(join(packageRoot, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean, devOptional?: boolean }>
  }
  const inProduction = Object.entries(packages).flatMap(([path, { dev, devOptional }]) =>
    path.startsWith('node_modules/') && dev !== true && devOptional !== true && existsSync(join(packageRoot, path))
      ? [path.slice('node_modules/'.length)]
      : [])
  for (const name of inProduction) {
    const from = join(packageRoot, 'node_modules', name)
    cpSync(from, join(target, name), {
      recursive: true,
      // A package inside is copied if it is listed itself.
      filter: path => path === from || path !== join(from, 'node_modules')
    })
  }
}

function copy (source: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true })
  cpSync(join(packageRoot, source), target, { recursive: true })
}
