import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../src/package-root.ts'
import { packClient, packPlugin, packService } from './packages/pack.ts'

const help = `Usage: npm run pack

Packs the packages of this repository into tarballs/: fastify-signout, the plugin, signout-client, the client, and
signout, the service with its command line. Install one with \`npm install\` and the path of its file.

  --help   print this help
`

const { values } = parseArgs({ options: { help: { type: 'boolean' } } })

if (values.help === true) {
  process.stdout.write(help)
} else {
  for (const pack of [packPlugin, packClient, packService]) {
    const { file, packedBytes, unpackedBytes, paths } = pack(join(packageRoot, 'tarballs'))
    const sizes = `${toKilobytes(packedBytes)} packed, ${toKilobytes(unpackedBytes)} unpacked`
    process.stdout.write(`${relative(process.cwd(), file)}: ${paths.length} files, ${sizes}\n`)
  }
}

function toKilobytes (bytes: number): string {
  return `${Math.round(bytes / 1000)} kB`
}
