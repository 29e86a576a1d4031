// Serves the page. It has no build step: the browser loads these files as they are.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'

const service = process.env.SIGNOUT_URL ?? 'http://127.0.0.1:3000'
const credentials = process.env.CREDENTIALS ?? 'cookie'
const files = {
  '/': ['index.html', 'text/html'],
  '/app.js': ['app.js', 'text/javascript'],
  '/style.css': ['style.css', 'text/css'],
  '/signout-client.js': [fileURLToPath(import.meta.resolve('signout-client')), 'text/javascript']
}

const app = Fastify()
app.addHook('onSend', async (request, reply) => {
  reply.header('content-security-policy', `default-src 'self'; connect-src 'self' ${service}; frame-ancestors 'none'`)
})
for (const [path, [file, type]] of Object.entries(files)) {
  app.get(path, async (request, reply) => {
    reply.type(type)
    return await readFile(new URL(file, import.meta.url))
  })
}
app.get('/settings.json', async () => ({ service, credentials }))

console.log(`The page is at ${await app.listen({ port: Number(process.env.PORT ?? 8080) })}`)
