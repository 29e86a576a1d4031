import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { packageRoot } from '../src/package-root.ts'

/** Words that make a reader read a sentence twice, or that have a plain equal. */
const forbidden =
  /\b(whoever|whomever|whosoever|nobody(?!')|nor|by itself|by themselves|of no matter|sees? to it|taken? back|replay\w*)\b/i
const maxWords = 30
const maxTitleLength = 100

const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: packageRoot, encoding: 'utf8'
}).trim().split('\n')
const read = (path: string) => readFileSync(join(packageRoot, path), 'utf8')
const documents = tracked
  .filter(path => /^[^/]*\.md$|^(docs|client|examples|test)\/.*\.md$|^\.env\.example$/.test(path))
const sources = tracked
  .filter(path => /^(client|examples|src|plugins|routes|scripts|test)\/.*(?<!\.d)\.(ts|js)$/.test(path))
  .filter(path => path !== 'test/words.test.ts')
  .map(path => ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true))

t.test('documents have no forbidden word, and no sentence of more than 30 words', async t => {
  t.ok(documents.length > 20)
  for (const path of documents) {
    const sentences = sentencesOf(read(path))
    t.same(sentences.filter(sentence => forbidden.test(sentence)), [], `${path}: words`)
    t.same(sentences.filter(sentence => sentence.split(/\s+/).length > maxWords), [], `${path}: length`)
  }
})

t.test('the API document, the help of the command line and the messages of the code have no forbidden word', async t => {
  t.notMatch(read('openapi.json'), forbidden)
  const product = sources.filter(({ fileName }) => !fileName.startsWith('test/'))
  t.same(withPlaces(product, textsOf).filter(({ text }) => forbidden.test(text)), [])
})

t.test('comments have no forbidden word, and doc comments do not begin with "What" or "The same"', async t => {
  t.ok(sources.length > 300)
  const comments = withPlaces(sources, commentsOf)
  t.ok(comments.length > 3_000)
  t.same(comments.filter(({ text }) => forbidden.test(text)), [])
  t.same(comments.filter(({ text }) => /^(What|The same)\b/.test(text)), [])
})

t.test('titles of tests have at most 100 characters, and no forbidden word', async t => {
  const titles = withPlaces(sources.filter(({ fileName }) => fileName.endsWith('.test.ts')), titlesOf)
  t.ok(titles.length > 1_000)
  t.same(titles.filter(({ text }) => text.length > maxTitleLength), [])
  t.same(titles.filter(({ text }) => forbidden.test(text)), [])
})

/** Reads texts in all files, and returns each with the name of its file. */
function withPlaces (
  files: ts.SourceFile[], read: (source: ts.SourceFile) => string[]
): Array<{ place: string, text: string }> {
  return files.flatMap(file => read(file).map(text => ({ place: file.fileName, text })))
}

/** The sentences of a document in Markdown, or of the comments of `.env.example`, without code. */
function sentencesOf (text: string): string[] {
  return text
    .replace(/^```[^]*?^```/gm, '')
    .replace(/<!--[^]*?-->/g, '')
    .replace(/^#?[A-Z_]+=.*$/gm, '\n\n')
    .replace(/`[^`\n]*`/g, 'code')
    .replace(/\]\([^)]*\)/g, ']')
    // A heading, a line of a table, an item of a list and a cell end a sentence.
    .split(/\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.)\s?)|\|/)
    .flatMap(block => block.replace(/\s+/g, ' ').split(/(?<=[.!?:;])[)"*]*\s+/))
    .map(sentence => sentence.trim())
    .filter(sentence => sentence !== '')
}

function visit (node: ts.Node, look: (node: ts.Node) => void): void {
  look(node)
  ts.forEachChild(node, child => { visit(child, look) })
}

/** The texts in a file that are not names of modules. */
function textsOf (source: ts.SourceFile): string[] {
  const texts: string[] = []
  visit(source, node => {
    if (ts.isImportDeclaration(node.parent ?? source)) return
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      texts.push(node.text)
    }
  })
  return texts
}

/** The comments in a file, each as one line. Lines of `//` below each other are one comment. */
function commentsOf (source: ts.SourceFile): string[] {
  const text = source.getFullText()
  const ranges = new Map<number, ts.CommentRange>()
  visit(source, node => {
    for (const position of [node.getFullStart(), node.getEnd()]) {
      for (const range of [
        ...ts.getLeadingCommentRanges(text, position) ?? [], ...ts.getTrailingCommentRanges(text, position) ?? []
      ]) ranges.set(range.pos, range)
    }
  })
  return [...ranges.values()].map(({ pos, end }) => text
    .slice(pos, end)
    .replace(/^\s*(\/\*\*?|\/\/|\*\/?)|\*\/$/gm, '')
    .replace(/\s+/g, ' ')
    .trim())
}

/** The titles of the tests in a file: the first text that a call of a test function gets. */
function titlesOf (source: ts.SourceFile): string[] {
  const titles: string[] = []
  visit(source, node => {
    if (!ts.isCallExpression(node) || !/^(t\.test|test[A-Z]\w*)$/.test(node.expression.getText())) return
    const title = node.arguments.slice(0, 2).find(ts.isStringLiteralLike)
    if (title !== undefined) titles.push(title.text)
  })
  return titles
}
