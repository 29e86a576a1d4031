import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'postgresql',
  schema: ['./src/db/tables.ts', './src/clients/tables.ts', './src/roles/tables.ts'],
  out: './src/db/migrations'
})
