# Debian rather than Alpine: the prebuilt parts of argon2 and of the lock on DATA_DIR are made for glibc.
FROM node:20-bookworm-slim AS base
WORKDIR /app
COPY package.json package-lock.json ./

FROM base AS build
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.js scripts/bundled-packages.js scripts/
COPY src src
COPY plugins plugins
COPY routes routes
RUN node scripts/build.js

FROM base AS dependencies
RUN npm ci --omit=dev --no-audit --no-fund

FROM base
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 DATA_DIR=/var/lib/signout
# The embedded mode keeps its database and its secret here; with DATABASE_URL and REDIS_URL it stays empty.
RUN install -d -o node -g node -m 0700 /var/lib/signout
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY src/db/migrations src/db/migrations
# The user `node`, as a number, so that an orchestrator can see that it is not root.
USER 1000:1000
VOLUME /var/lib/signout
EXPOSE 3000
# Whether the process answers. That Redis is down is no reason to replace it: /health/ready is for load balancers.
HEALTHCHECK --interval=5s --timeout=3s --start-period=90s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/health/live').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/src/server.js"]
