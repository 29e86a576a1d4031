import type { CommanderError } from 'commander'
import t from 'tap'
import { parseOptions } from '../../scripts/load/options.ts'

t.test('-h and --help print the same usage, and exit with 0', async t => {
  const helps = ['-h', '--help'].map(option => {
    const written = t.capture(process.stdout, 'write', () => true)
    try {
      return parseOptions([option])
    } catch (error) {
      return [(error as CommanderError).exitCode, ...written().map(({ args }) => args[0])]
    } finally {
      // The output of the test itself goes there too.
      written.restore()
    }
  })
  t.match(helps, [[0, /^Usage: /], [0, /^Usage: /]])
  t.same(helps[0], helps[1])
})

t.test('a wrong option is named in the error, with its bounds', async t => {
  const written = t.capture(process.stderr, 'write', () => true)
  for (const [args, line] of [
    [['--users', '0'], /--users <count>.* whole number from 1 to 10000\./],
    [['--users', '10001'], /1 to 10000/],
    [['--duration', '1e3'], /--duration .* 1 to 86400/],
    [['--rate', '20001'], /--rate .* 1 to 20000/],
    [['--replicas', '11'], /--replicas .* 1 to 10/],
    [['--target', 'localhost:3000'], /must be an http or https address/],
    [['--target', 'http://ada:secret@localhost'], /must not hold a user or a password/],
    [['--target', 'http://a', '--target', 'http://a/'], /is there twice/],
    [['--target', 'http://a', '--replicas', '2'], /--replicas goes without --target/],
    [['--i-own-this-target'], /--i-own-this-target goes with --target/],
    [['--profile', 'storm', '--rate', '5'], /--rate does not go with storm/],
    [['mixed'], /too many arguments/],
    [Array.from({ length: 51 }, (_, index) => ['--target', `http://a:${index + 1}`]).flat(), /at most 50 targets/]
  ] as [string[], RegExp][]) {
    t.throws(() => parseOptions(args), { name: 'CommanderError' }, args.join(' '))
    const said = String(written().at(-1)?.args[0])
    t.match(said, line)
    t.match(said, /^load: [^\n]* See npm run load -- --help\n$/)
  }
  t.match(parseOptions(['--profile', 'soak']), { ratePerSecond: 100, durationSeconds: 3600, targets: [], users: 50 })
  t.match(parseOptions(['--target', 'http://a', '--target', 'http://b/c', '--duration', '5']), {
    ratePerSecond: undefined, durationSeconds: 5, targets: [{ host: 'a' }, { pathname: '/c' }]
  })
})
