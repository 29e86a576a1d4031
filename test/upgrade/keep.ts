import { execFileSync } from 'node:child_process'
import { Command } from 'commander'
import { packageRoot } from '../../src/package-root.ts'
import { keepPresent } from './build.ts'

const git = (...args: string[]) => execFileSync('git', args, { cwd: packageRoot, encoding: 'utf8' }).trim()

new Command('npm run upgrade:keep --')
  .description([
    'Packs the present build as test/upgrade/previous.tgz, which the test of upgrades runs beside later builds.',
    'Needs a clean checkout. CONTRIBUTING.md says when to run it.'
  ].join(' '))
  .action(() => {
    const changed = git('status', '--porcelain', '--', 'src', 'plugins', 'routes', 'package.json', 'package-lock.json')
    if (changed !== '') {
      process.stderr.write(`These files are not committed, so the archive would be of no commit:\n${changed}\n`)
      process.exitCode = 1
      return
    }
    const { version, commit, recordFormat, lastMigration } = keepPresent(git('rev-parse', '--short', 'HEAD'))
    process.stdout.write(
      `test/upgrade/previous.tgz is version ${version} at ${commit}: record format ${recordFormat}, up to migration ${lastMigration}.\n`
    )
  })
  .parse()
