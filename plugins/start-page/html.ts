import { createHash } from 'node:crypto'
import type { ServiceDescription } from '../../src/schemas/schemas.ts'

const css = `
:root { color-scheme: light dark; --text: #1b1f24; --soft: #59636e; --ground: #fff; --box: #f3f5f7; --link: #0550ae }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --soft: #9aa4af; --ground: #0f1419; --box: #1a2129; --link: #79b8ff }
}
body { margin: 0 auto; max-width: 46rem; padding: 2.5rem 1.25rem; color: var(--text); background: var(--ground);
  font: 1rem/1.55 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.8rem }
h2 { margin: 2rem 0 .5rem; font-size: 1.2rem }
p { margin: .4rem 0 }
small, .soft { color: var(--soft) }
a { color: var(--link) }
ol { padding-left: 1.4rem }
ul li { margin: .3rem 0 }
ol li { margin: .8rem 0 }
pre { margin: .3rem 0; padding: .7rem .9rem; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--box); border-radius: .4rem }
code { font: .85rem/1.5 ui-monospace, monospace }
`

/** The policy of the page: it runs nothing, and loads nothing. Its style is in it. */
export const startPagePolicy = {
  defaultSrc: ["'none'"],
  styleSrc: [`'sha256-${createHash('sha256').update(css).digest('base64')}'`],
  imgSrc: ['data:'],
  baseUri: ["'none'"],
  formAction: ["'none'"],
  frameAncestors: ["'none'"]
}

const linkTexts: Record<string, string> = {
  docs: 'Documentation, where you can try each request',
  openapi: 'OpenAPI document, for programs',
  readiness: 'Readiness, for load balancers',
  keys: 'Public keys, for services that verify tokens'
}

/** Returns the page for people. Its links are relative, so they also work below a path of a proxy. */
export function toHtml ({ name, version, ready, readiness, links, try_a_logout: steps }: ServiceDescription): string {
  const items = Object.entries(links).map(([key, path]) =>
    `<li><a href="${escape(path.slice(1))}">${escape(linkTexts[key] ?? key)}</a></li>`)
  const commands = steps.map(({ step, run, answer }) =>
    `<li>${escape(step)}<pre><code>${escape(run)}</code></pre><small>Answer: ${escape(answer)}</small></li>`)
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(name)}</title>
<link rel="icon" href="data:,">
<style>${css}</style>
</head>
<body>
<main>
<h1>${escape(name)} <small>${escape(version)}</small></h1>
<p>An auth service in which a logout is real: once it is answered, every replica refuses the token.</p>
<p><strong>${ready ? 'Ready.' : 'Not ready.'}</strong> <span class="soft">${escape(readiness)}</span></p>
<h2>Links</h2>
<ul>
${items.join('\n')}
</ul>
<h2>Try a logout</h2>
<p>Run these commands in one terminal, in this order.</p>
<ol>
${commands.join('\n')}
</ol>
</main>
</body>
</html>
`
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function escape (text: string): string {
  return text.replace(/[&<>"']/g, character => entities[character] ?? character)
}
