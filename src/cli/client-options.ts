import type { Command } from 'commander'

interface Json { json?: true }

const idArgument = ['<id>', 'the client_id'] as const
const jwkOption = ['--jwk <file>', 'public keys of the client, a JWK or a JWK Set, in place of a secret'] as const

/** Adds the commands for registered clients. */
export function addClientCommands (client: Command): void {
  client.command('list')
    .description('list the registered clients')
    .action(async ({ json }: Json) => {
      await (await import('./commands/clients.ts')).printClients(json === true)
    })
  client.command('create')
    .description('register a client, which may introspect tokens, and print its secret once')
    .argument('<id>', 'the client_id: letters, digits and characters of "._~-"')
    .option(...jwkOption)
    .option('--may-revoke', 'the client may revoke every token')
    .action(async (id: string, { jwk, mayRevoke, json }: Json & { jwk?: string, mayRevoke?: true }) => {
      await (await import('./commands/clients.ts')).createClient(id, mayRevoke === true, jwk, json === true)
    })
  client.command('rotate')
    .description('add a new secret, and keep the one before until the next rotation')
    .argument(...idArgument)
    .option(...jwkOption)
    .option('--finish', 'drop the secret or keys before, and add none')
    .action(async (id: string, { jwk, finish, json }: Json & { jwk?: string, finish?: true }, command: Command) => {
      const commands = await import('./commands/clients.ts')
      if (finish !== true) return await commands.rotateClient(id, jwk, json === true)
      if (jwk !== undefined) command.error('error: --finish goes without --jwk.')
      await commands.finishRotation(id, json === true)
    })
  client.command('delete')
    .description('delete a client, which is refused at once. Asks on a terminal whether to go on')
    .argument(...idArgument)
    .option('--yes', 'do not ask')
    .action(async (id: string, { yes = false, json }: Json & { yes?: boolean }, command: Command) => {
      if (!yes && !process.stdin.isTTY) {
        command.error('error: delete asks on a terminal whether to go on. There is none: give --yes.')
      }
      await (await import('./commands/clients.ts')).deleteClient(id, yes, json === true)
    })
}
