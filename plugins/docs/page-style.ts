/** The style that the documentation page has beside that of swagger-ui. */
export const pageStyle = `
:root { color-scheme: light dark }
@media (prefers-color-scheme: dark) { html, body { background: #1c2022 } }
.swagger-ui .info { margin: 24px 0 }
/* swagger-ui leaves these dark in its dark mode. */
html.dark-mode .swagger-ui .headers td { color: #e4e6e6 }
body { padding-bottom: 5rem }
#next-step { position: fixed; inset: auto 0 0; z-index: 10; margin: 0; padding: .8rem 1.2rem; text-align: center;
  font: 600 1rem/1.5 system-ui, sans-serif; color: #fff; background: #174ea6; box-shadow: 0 -1px 6px #0006 }
#next-step button { margin-left: .8rem; padding: .3rem .8rem; border: 0; border-radius: .3rem; cursor: pointer;
  font: inherit; color: #174ea6; background: #fff }
#next-step button:focus-visible { outline: 3px solid #ffd33d }
`
