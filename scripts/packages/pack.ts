import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { packageRoot } from '../../src/package-root.ts'

/** A packed package: what `npm install` and `npm publish` take. */
export interface Tarball {
  name: string
  /** The path of the `.tgz` file. */
  file: string
  /** The sizes of the file and of what it holds, in bytes. */
  packedBytes: number
  unpackedBytes: number
  /** The paths in it. */
  paths: string[]
}

interface Manifest extends Record<string, unknown> { version: string }

/** The fields of the plugin's manifest that are declared in the manifest of the repository. */
const shared = ['version', 'license', 'homepage', 'bugs', 'repository', 'engines']
/** The folder of what only the package of the plugin has. */
const ownFolder = join('plugins', 'auth', 'package')
/** The documents in the package of the plugin. Their links to other documents lead to the repository. */
const documents = [
  'plugin.md', 'plugin-redis.md', 'protect-an-api.md', 'move-an-app.md', 'existing-jwt.md', 'other-issuers.md',
  'test-your-app.md', 'errors.md'
]

/**
 * Packs `fastify-signout`, the plugin, into a folder. Call it after `scripts/build.js`.
 *
 * @example
 * const { file } = packPlugin('tarballs')
 */
export function packPlugin (folder: string): Tarball {
  const staging = mkdtempSync(join(tmpdir(), 'fastify-signout-'))
  try {
    stage(staging)
    return pack(staging, folder)
  } finally {
    rmSync(staging, { recursive: true })
  }
}

/** Packs `signout`, the service and its command line, into a folder. Call it after `scripts/build.js`. */
export function packService (folder: string): Tarball {
  return pack(packageRoot, folder)
}

/** Puts the files of the plugin's package into a folder. */
function stage (folder: string): void {
  const from = (...path: string[]) => join(packageRoot, ...path)
  const root = readManifest('package.json')
  const own = readManifest(join(ownFolder, 'package.json'))
  const manifest = { ...own, ...Object.fromEntries(shared.map(name => [name, root[name]])) }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  cpSync(from('dist', 'plugins', 'auth', 'auth.js'), join(folder, 'index.js'))
  cpSync(from('dist', 'plugins', 'auth', 'auth.d.ts'), join(folder, 'index.d.ts'))
  for (const file of ['testing.js', 'testing.d.ts']) {
    cpSync(from('dist', 'plugins', 'auth', file), join(folder, file))
  }
  cpSync(from('LICENSE'), join(folder, 'LICENSE'))
  mkdirSync(join(folder, 'docs'))
  const { url } = root['repository'] as { url: string }
  const base = `${url.replace(/^git\+|\.git$/g, '')}/blob/main`
  const write = (source: string, target: string) => {
    writeFileSync(join(folder, target), withAbsoluteLinks(readFileSync(from(source), 'utf8'), source, base))
  }
  write(posix.join('plugins', 'auth', 'package', 'README.md'), 'README.md')
  write('CHANGELOG.md', 'CHANGELOG.md')
  for (const name of documents) write(posix.join('docs', name), posix.join('docs', name))
}

function readManifest (path: string): Manifest {
  return JSON.parse(readFileSync(join(packageRoot, path), 'utf8')) as Manifest
}

/**
 * Returns a document in which each link to a file that the package lacks is the address of that file.
 *
 * @param source the path of the document in the repository
 * @param base the address of the repository's files
 */
function withAbsoluteLinks (text: string, source: string, base: string): string {
  return text.replace(/\]\((?!https?:|#)([^)#]+)/g, (link, path: string) => {
    const target = posix.join(posix.dirname(source), path)
    const inPackage = documents.some(name => target === posix.join('docs', name))
    if (!inPackage) return `](${base}/${target}`
    return source.startsWith('docs/') ? link : `](${target}`
  })
}

/** The output of `npm pack --json` for a package. */
interface Packed {
  name: string
  filename: string
  size: number
  unpackedSize: number
  files: Array<{ path: string }>
}

function pack (packed: string, folder: string): Tarball {
  mkdirSync(folder, { recursive: true })
  const output = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: packed, encoding: 'utf8'
  })
  const [{ name, filename, size, unpackedSize, files }] = JSON.parse(output) as [Packed]
  return {
    name,
    file: join(folder, filename),
    packedBytes: size,
    unpackedBytes: unpackedSize,
    paths: files.map(({ path }) => path)
  }
}
