// Compiles src, plugins, routes, scripts and test into .build, for the tests. Compiles file by file, and does not check
// types, which `npm run typecheck` does. Compiles only files that have changed, copies files that are not TypeScript,
// and removes files without a source. Plain JavaScript, because it runs before anything is compiled.
import {
  copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const build = join(root, '.build')
const folders = ['src', 'plugins', 'routes', 'scripts', 'test']
/** When one of these changes, everything is compiled again. */
const settings = ['tsconfig.json', 'package-lock.json', 'scripts/compile.js']

const isSource = path => /(?<!\.d)\.ts$/.test(path)
const targetOf = path => join(build, path.replace(/(?<!\.d)\.ts$/, '.js'))
const changedAt = path => existsSync(path) ? statSync(path).mtimeMs : -Infinity

const settingsChangedAt = Math.max(...settings.map(path => changedAt(join(root, path))))
const files = folders.flatMap(folder => filesIn(root, folder))
const changed = files.filter(path =>
  changedAt(targetOf(path)) <= Math.max(changedAt(join(root, path)), settingsChangedAt))

// The compiler is loaded only if it is needed.
if (changed.length > 0) {
  const { default: ts } = await import('typescript')
  const { config: { compilerOptions } } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(compilerOptions, root)
  // A single file does not tell that its package consists of ES modules.
  Object.assign(options, { module: ts.ModuleKind.ESNext, moduleResolution: undefined, noEmit: false, sourceMap: true })
  for (const path of changed) compile(ts, options, path)
}
removeLeftovers()

function compile (ts, compilerOptions, path) {
  const target = targetOf(path)
  mkdirSync(dirname(target), { recursive: true })
  if (!isSource(path)) return copyFileSync(join(root, path), target)
  const source = readFileSync(join(root, path), 'utf8')
  const { outputText, sourceMapText } = ts.transpileModule(source, { compilerOptions, fileName: path })
  const map = { ...JSON.parse(sourceMapText), sources: [join(root, path)] }
  writeFileSync(`${target}.map`, JSON.stringify(map))
  // Written last, because its time says that the file is compiled.
  writeFileSync(target, outputText.replace(/\/\/# sourceMappingURL=.*/, `//# sourceMappingURL=${basename(target)}.map`))
}

function removeLeftovers () {
  const expected = new Set(files.map(targetOf).flatMap(path => [path, `${path}.map`]))
  for (const path of filesIn(build, '.')) if (!expected.has(join(build, path))) rmSync(join(build, path))
}

/** Returns the files in a folder, by their paths below `top`. */
function filesIn (top, folder) {
  if (!existsSync(join(top, folder))) return []
  return readdirSync(join(top, folder), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath ?? entry.path, entry.name).slice(top.length + 1))
}
