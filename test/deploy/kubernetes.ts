import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { parse } from 'yaml'
import { packageRoot } from '../../src/package-root.ts'

/** An object of Kubernetes, as its file says. */
export interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string, namespace?: string, labels?: Record<string, string> }
  spec?: unknown
}

const folder = join(packageRoot, 'deploy', 'kubernetes')

/** The names of the files in `deploy/kubernetes`. */
export const manifestFiles: string[] = readdirSync(folder).sort()

/** Reads a file of `deploy/kubernetes`. Each has one object. */
export function readManifest<T = Manifest> (file: string): T {
  // Kubernetes reads YAML 1.1, in which 0440 is octal, and `no` is a boolean.
  return parse(readFileSync(join(folder, file), 'utf8'), { version: '1.1' }) as T
}

/**
 * Returns the mistakes of an object by the published schemas of Kubernetes: missing fields, unknown fields, values of
 * other types and of other formats. The schemas that the package has at run time admit unknown fields, and its types do
 * not, so both are asked.
 */
export async function mistakesOf (manifest: Manifest): Promise<string[]> {
  const { apiVersion, kind } = manifest
  const model = await import(`kubernetes-models/${apiVersion}/${kind}`) as Record<string, Model>
  const Class = model[kind]
  if (Class === undefined) return [`${apiVersion} ${kind} is unknown`]
  try {
    new Class(manifest).validate()
  } catch (error) {
    return [(error as Error).message]
  }
  return unknownFieldsOf(manifest)
}

type Model = new (data: object) => { validate: () => void }

/** The files that the compiler has read, by their paths. All objects share them. */
const parsed = new Map<string, ts.SourceFile | undefined>()

/** Returns the errors of the compiler for the object as a literal of its type. It refuses fields that are unknown. */
function unknownFieldsOf (manifest: Manifest): string[] {
  const { apiVersion, kind } = manifest
  const file = join(packageRoot, '.build', 'manifest.ts')
  const source = `import type { I${kind} } from 'kubernetes-models/${apiVersion}/${kind}'
export const manifest: I${kind} = ${JSON.stringify(manifest)}`
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    lib: ['lib.es2022.d.ts'],
    module: ts.ModuleKind.Node20,
    target: ts.ScriptTarget.ES2022
  }
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = path => path === file || fileExists(path)
  host.readFile = path => path === file ? source : readFile(path)
  host.getSourceFile = (path, ...rest) => {
    if (path === file) return ts.createSourceFile(path, source, ts.ScriptTarget.ES2022)
    if (!parsed.has(path)) parsed.set(path, getSourceFile(path, ...rest))
    return parsed.get(path)
  }
  return ts.getPreEmitDiagnostics(ts.createProgram([file], options, host)).map(({ messageText }) =>
    ts.flattenDiagnosticMessageText(messageText, ' '))
}
