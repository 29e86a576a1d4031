// A program that signs in to the app in a file, asks for its secret, logs out, and asks again. Prints the statuses.
import type { FastifyInstance } from 'fastify'
import { askAgain } from '../package/ask-again.ts'

const { default: app } = await import(String(process.argv[2])) as { default: FastifyInstance }
let headers = {}

async function ask (method: 'GET' | 'POST', url: string): Promise<number> {
  return await askAgain(async () => {
    const answer = await app.inject({ method, url, headers })
    if (url === '/login') headers = { authorization: `Bearer ${answer.json().token}` }
    return answer.statusCode
  }, url === '/logout')
}

await ask('POST', '/login')
const answers = [await ask('GET', '/secret'), await ask('POST', '/logout'), await ask('GET', '/secret')]
await app.close()
console.log(JSON.stringify(answers))
