// The packages that consist of many small modules, which make a process slow to start. The build puts them into the
// programs, and the tests load some of them from one file each. Plain JavaScript, since it runs before anything is
// compiled.
const esModules = ['drizzle-orm', 'jose', 'typebox']
const commonJs = ['@opentelemetry/api', 'bintrees', 'prom-client', 'tdigest']

const isOf = (names, path) => names.some(name => path === name || path.startsWith(`${name}/`))

/** Packages that are CommonJS load modules of Node with it. */
const loader =
  "import { createRequire as toRequire } from 'node:module'; const require = toRequire(import.meta.url)"

/** Options of esbuild that bundle these packages. The imports of all others are left as they are. */
const optionsFor = names => ({
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
  banner: { js: loader },
  plugins: [{
    name: 'bundled packages',
    setup ({ onResolve }) {
      onResolve({ filter: /^[^./]/ }, ({ path }) => isOf(names, path) ? undefined : { path, external: true })
    }
  }]
})

export { commonJs, esModules, isOf, optionsFor }
