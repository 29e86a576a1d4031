// The packages that consist of hundreds of small modules, which make a process slow to start. The build puts them into
// the programs, and the tests load each of them from one file. Plain JavaScript, since it runs before anything is
// compiled.
const names = ['@fastify/type-provider-typebox', 'drizzle-orm', 'jose', 'typebox']

const packageOf = path => names.find(name => path === name || path.startsWith(`${name}/`))

/** Leaves the imports of all other packages as they are. */
const plugin = {
  name: 'bundled packages',
  setup ({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path }) =>
      packageOf(path) === undefined ? { path, external: true } : undefined)
  }
}

/** Options of esbuild that bundle these packages, and no other. */
export const options = {
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
  plugins: [plugin]
}

export { names, packageOf }
