import type {} from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { NoBody } from '../../src/schemas/schemas.ts'
import { toPageDocument } from './page-document.ts'
import { pageScript } from './page-script.ts'
import { pageStyle } from './page-style.ts'

export interface OpenApiOptions {
  version: string
  /** True to serve the documentation page at `/docs`. */
  hasPage: boolean
}

/**
 * The policy of the documentation page. The page and all that it loads come from this service. The default of
 * swagger-ui also says `upgrade-insecure-requests`, which leaves the page blank wherever it is served over plain HTTP.
 */
const contentSecurityPolicy =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'"

type OpenApiDocument = ReturnType<FastifyInstance['swagger']> & { openapi: string }
interface Body { required?: boolean, content?: Record<string, { schema?: { $ref?: string } }> }

/** Marks the bodies that accept null as optional. @fastify/swagger marks every body as required. */
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
 * Generates the OpenAPI document from the schemas of the routes that are registered later, and serves a page that shows
 * it.
 */
async function openapi (app: FastifyInstance, { version, hasPage }: OpenApiOptions): Promise<void> {
  await app.register(import('@fastify/swagger'), {
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
        { name: 'me', description: 'The account and the sessions of the user.' },
        { name: 'administration', description: 'For administrators. Their tokens have the scope `admin`.' },
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
    // Components have the names of their schemas.
    refResolver: {
      buildLocalReference: (json, _baseUri, _fragment, index) =>
        typeof json.$id === 'string' ? json.$id : `schema-${index}`
    }
  })
  if (!hasPage) return
  await app.register(import('@fastify/swagger-ui'), {
    routePrefix: '/docs',
    staticCSP: contentSecurityPolicy,
    transformSpecification: toPageDocument,
    theme: {
      title: 'signout',
      css: [{ filename: 'page.css', content: pageStyle }],
      js: [{ filename: 'page.js', content: pageScript }]
    },
    uiConfig: { layout: 'BaseLayout', deepLinking: true, tryItOutEnabled: true }
  })
}

export default fp(openapi, { name: 'openapi', fastify: '5.x', dependencies: ['validation'] })
