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

/** The fields of each manifest that are declared in the manifest of the repository. */
const shared = ['version', 'license', 'homepage', 'bugs', 'repository', 'engines']

/** A package beside that of the service. */
interface OwnPackage {
  /** The folder of its manifest and its README. */
  folder: string
  /** Its programs and types, by their names in the package. */
  files: Record<string, string>
  /** The documents in it. Their links to other documents lead to the repository. */
  documents: string[]
}

const plugin: OwnPackage = {
  folder: posix.join('plugins', 'auth', 'package'),
  files: {
    'index.js': 'dist/plugins/auth/auth.js',
    'index.d.ts': 'dist/plugins/auth/auth.d.ts',
    'testing.js': 'dist/plugins/auth/testing.js',
    'testing.d.ts': 'dist/plugins/auth/testing.d.ts',
    'trusted.js': 'plugins/auth/package/trusted.js',
    'trusted.d.ts': 'dist/plugins/auth/trusted.d.ts'
  },
  documents: [
    'plugin.md', 'plugin-redis.md', 'protect-an-api.md', 'move-an-app.md', 'existing-jwt.md', 'other-issuers.md',
    'test-your-app.md', 'errors.md'
  ]
}

const client: OwnPackage = {
  folder: posix.join('client', 'package'),
  files: { 'index.js': 'dist/client/index.js', 'index.d.ts': 'dist/client/index.d.ts' },
  documents: ['client.md', 'writing-a-client.md', 'errors.md']
}

/**
 * Packs `fastify-signout`, the plugin, into a folder. Call it after `scripts/build.js`.
 *
 * @example
 * const { file } = packPlugin('tarballs')
 */
export function packPlugin (folder: string): Tarball {
  return packOwn(plugin, folder)
}

/**
 * Packs `signout-client` into a folder. Call it after `scripts/build.js`.
 *
 * @example
 * const { file } = packClient('tarballs')
 */
export function packClient (folder: string): Tarball {
  return packOwn(client, folder)
}

function packOwn (own: OwnPackage, folder: string): Tarball {
  const staging = mkdtempSync(join(tmpdir(), 'signout-package-'))
  try {
    stage(own, staging)
    return pack(staging, folder)
  } finally {
    rmSync(staging, { recursive: true })
  }
}

/** Packs `signout`, the service and its command line, into a folder. Call it after `scripts/build.js`. */
export function packService (folder: string): Tarball {
  return pack(packageRoot, folder)
}

/** Puts the files of a package into a folder. */
function stage (own: OwnPackage, folder: string): void {
  const from = (...path: string[]) => join(packageRoot, ...path)
  const root = readManifest('package.json')
  const manifest = {
    ...readManifest(join(own.folder, 'package.json')), ...Object.fromEntries(shared.map(name => [name, root[name]]))
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  for (const [name, made] of Object.entries(own.files)) cpSync(from(made), join(folder, name))
  cpSync(from('LICENSE'), join(folder, 'LICENSE'))
  mkdirSync(join(folder, 'docs'))
  const { url } = root['repository'] as { url: string }
  const base = `${url.replace(/^git\+|\.git$/g, '')}/blob/main`
  const write = (source: string, target: string) => {
    const text = readFileSync(from(source), 'utf8')
    writeFileSync(join(folder, target), withAbsoluteLinks(text, source, base, own.documents))
  }
  write(posix.join(own.folder, 'README.md'), 'README.md')
  write('CHANGELOG.md', 'CHANGELOG.md')
  for (const name of own.documents) write(posix.join('docs', name), posix.join('docs', name))
}

function readManifest (path: string): Manifest {
  return JSON.parse(readFileSync(join(packageRoot, path), 'utf8')) as Manifest
}

/**
 * Returns a document in which each link to a file that the package lacks is the address of that file.
 *
 * @param source the path of the document in the repository
 * @param base the address of the repository's files
 * @param documents the documents in the package
 */
function withAbsoluteLinks (text: string, source: string, base: string, documents: string[]): string {
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
