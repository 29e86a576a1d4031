import t from 'tap'
import { findJsonMistake, placeOf } from '../../src/input/json-mistake.ts'
import { createDraw, pick, type Draw } from '../support/draw.ts'

const seed = Number(process.env['JSON_SEED'] ?? Date.now() % 1_000_000)

/** A JSON text with something of everything that JSON has. */
const whole = '{"a": [1, -2.5e+3, true, false, null, ""],\r\n "b\\u00e9\\n": {"c": {}, "d": []},\n"é😀": "x y"}'

function isJson (text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Returns the text with one character removed, replaced, doubled or added. */
function spoil (draw: Draw, text: string): string {
  const at = draw(text.length)
  const character = pick(draw, [...'{}[]:,"\\ \n0159-+.eEtrufalsn\u0000\u001fé/', ''])
  return text.slice(0, at) + character + text.slice(at + draw(3))
}

t.test('a mistake is found exactly in the texts that JSON.parse refuses', async t => {
  t.comment(`JSON_SEED=${seed} repeats this run.`)
  const draw = createDraw(seed)
  let refused = 0
  for (let round = 0; round < 20_000; round++) {
    let text = whole
    for (let times = 0; times <= draw(3); times++) text = spoil(draw, text)
    const mistake = findJsonMistake(text)
    if ((mistake === undefined) !== isJson(text)) t.fail(JSON.stringify(text))
    if (mistake !== undefined) refused++
  }
  t.ok(refused > 5_000 && refused < 19_900, `${refused} refused`)
})

t.test('the place of a mistake is the first character that cannot be there', async t => {
  for (const [text, index] of [
    ['', 0], ['  ', 2], ['{', 1], ['{"a"', 4], ['{"a":', 5], ['{"a":1', 6], ['{"a":1,', 7], ['[1', 2], ['"abc', 4],
    ['{a:1}', 1], ["{'a':1}", 1], ['{"a":1,}', 7], ['[1,]', 3], ['[1 2]', 3], ['{"a" 1}', 5], ['{"a":01}', 6],
    ['{} {}', 3], ['[}', 1], ['{]', 1], ['"a\\x"', 2], ['"a\nb"', 2], ['"\\u12g4"', 1], ['tru', 0], ['-', 0],
    ['1.', 1], ['nulls', 4], [':', 0], [',', 0], ['undefined', 0], ['{"a":NaN}', 5], ['{"a":"b"} // c', 10]
  ] as const) {
    t.equal(findJsonMistake(text), index, text)
    t.notOk(isJson(text), text)
  }
  t.equal(findJsonMistake(whole), undefined)
})

t.test('a body of the largest size is searched, however deep it is nested', async t => {
  for (const [text, index] of [
    ['['.repeat(65_536), 65_536], ['{"a":'.repeat(13_000), 65_000], [`"${'\\n'.repeat(32_000)}`, 64_001],
    [`"${'a\\n'.repeat(21_000)}`, 63_001], ['[' + '1,'.repeat(32_000) + ']', 64_001]
  ] as const) t.equal(findJsonMistake(text), index, text.slice(0, 8))
})

t.test('lines and columns are counted from 1, and a column is a character', async t => {
  t.same(placeOf('abc', 0), { line: 1, column: 1 })
  t.same(placeOf('a\nbc', 3), { line: 2, column: 2 })
  t.same(placeOf('a\r\nb\rc', 5), { line: 3, column: 1 })
  t.same(placeOf('😀é"', 3), { line: 1, column: 3 })
})
