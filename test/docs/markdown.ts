import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { packageRoot } from '../../src/package-root.ts'

export const documents: string[] = [
  'README.md',
  'plugins/auth/package/README.md',
  'client/package/README.md',
  'CONTRIBUTING.md',
  'test/faults/README.md',
  'examples/README.md',
  ...readdirSync(join(packageRoot, 'examples'), { withFileTypes: true })
    .filter(entry => entry.isDirectory()).map(({ name }) => `examples/${name}/README.md`),
  ...readdirSync(join(packageRoot, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`)
]

export const read = (path: string): string => readFileSync(join(packageRoot, path), 'utf8')

/** Returns the code blocks of a language in a document. */
export const blocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp('^ *```' + language + '\\n([^]*?)^ *```', 'gm'))].map(match => match[1] ?? '')

/** A command of a document, and the answer that the document shows. */
export interface DocumentedCommand {
  command: string
  answer: string
}

/** Returns the commands in the `console` blocks of a text. Each begins with `$ `. */
export function stepsOf (text: string): DocumentedCommand[] {
  return blocks(text, 'console').join('\n').split(/^\$ /m).slice(1).map(step => {
    const [command = '', ...answer] = step.split('\n')
    return { command, answer: answer.join('\n') }
  })
}

/** Replaces ids, instants, tokens, dates and timeouts, which differ each time. */
export const normalize = (text: string): string => text
  .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<id>')
  .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<instant>')
  .replace(/^Date: .*$/gm, 'Date: <date>')
  .replace(/"eyJ[^"]+"/g, '"<token>"')
  .replace(/"refresh_token":"[^"]+"/g, '"refresh_token":"<token>"')
  .replaceAll('\r', '')
  .trim()

/**
 * Runs commands in one shell, and compares each answer with the document.
 *
 * @param adapt replaces the addresses of the document by those of the test
 * @param cwd a folder that keeps the files and the variables of the commands, for a second run
 */
export function runSteps (t: Test, steps: DocumentedCommand[], adapt: (command: string) => string, cwd: string): void {
  const script = [
    'touch variables; . ./variables',
    ...steps.map(({ command }) => `${adapt(command)}\necho; echo "<end>"`),
    'declare -p $(compgen -v | grep -E "^(ONE|TWO|USER_JSON|TOKEN|LIVE)$") > variables'
  ].join('\n')
  const { stdout, stderr } = spawnSync('bash', ['-c', script], { cwd, encoding: 'utf8', timeout: 60_000 })
  const answers = stdout.split('<end>')
  for (const [index, { command, answer }] of steps.entries()) {
    t.equal(normalize(answers[index] ?? stderr), normalize(answer), command.slice(0, 100))
  }
}
