import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { NoBody } from '../../src/schemas/schemas.ts'

export interface OpenApiOptions {
  version: string
}

/**
 * The policy of the documentation page. The page and all that it loads come from this service. The default of
 * swagger-ui also says `upgrade-insecure-requests`, which leaves the page blank wherever it is served over plain HTTP.
 */
const contentSecurityPolicy =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'"

type OpenApiDocument = ReturnType<FastifyInstance['swagger']> & { openapi: string }
interface Body { required?: boolean, content?: Record<string, { schema?: { $ref?: string } }> }

/** @fastify/swagger takes every body to be required. One whose schema takes null may be left out. */
function withOptionalBodies (document: Partial<OpenApiDocument>): Partial<OpenApiDocument> {
  const { paths, components } = document as {
    paths?: Record<string, Record<string, { requestBody?: Body }>>
    components?: { schemas?: Record<string, { type?: unknown }> }
  }
  for (const { requestBody } of Object.values(paths ?? {}).flatMap(path => Object.values(path))) {
    const name = requestBody?.content?.['application/json']?.schema?.$ref?.split('/').at(-1) ?? ''
    const type = components?.schemas?.[name]?.type
    if (requestBody !== undefined && Array.isArray(type) && type.includes('null')) requestBody.required = false
  }
  return document
}

/**
 * The OpenAPI document, made from the schemas of the routes that are registered after this, and a page that shows it.
 */
async function openapi (app: FastifyInstance, { version }: OpenApiOptions): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.1',
      info: {
        title: 'signout',
        version,
        description:
          'An auth API in which logging out is real: once a logout is answered, the token is refused by every replica.',
        license: { name: 'MIT', identifier: 'MIT' }
      },
      servers: [{ url: '/', description: 'The service that serves this document.' }],
      tags: [
        { name: 'auth', description: 'Signing up, in and out.' },
        { name: 'me', description: "What a token gives access to: one's own account and sessions." },
        { name: 'administration', description: 'For administrators: those whose token has the scope `admin`.' },
        { name: 'operations', description: 'For load balancers, and for services that verify our tokens.' }
      ],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The `access_token` of a login.' }
        }
      }
    },
    transform: ({ schema, url }) => ({
      schema: schema?.body === NoBody ? { ...schema, body: undefined } : schema,
      url
    }),
    transformObject: document => {
      const { openapiObject } = document as { openapiObject: Partial<OpenApiDocument> }
      return withOptionalBodies(openapiObject)
    },
    // The names of the components are those of the schemas.
    refResolver: {
      buildLocalReference: (json, _baseUri, _fragment, index) =>
        typeof json.$id === 'string' ? json.$id : `schema-${index}`
    }
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: contentSecurityPolicy,
    theme: { title: 'signout' },
    uiConfig: { layout: 'BaseLayout', deepLinking: true, tryItOutEnabled: true }
  })
}

export default fp(openapi, { name: 'openapi', fastify: '5.x', dependencies: ['validation'] })
