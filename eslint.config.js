import neostandard from 'neostandard'

export default [
  ...neostandard({
    ts: true,
    ignores: [
      'dist/**', 'tarballs/**', '.tap/**', '.services/**', 'coverage/**', '.bench/**', '.build/**',
      'test/generators/programs/*.ts', 'client/openapi.d.ts'
    ]
  }),
  {
    // A TypeBox schema and the type derived from it share one name.
    rules: { '@typescript-eslint/no-redeclare': 'off', 'no-redeclare': 'off' }
  }
]
