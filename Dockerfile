# Debian rather than Alpine: the prebuilt parts of argon2 and of the lock on DATA_DIR are made for glibc.
FROM node:24-bookworm-slim AS base
WORKDIR /app
COPY package.json package-lock.json ./

FROM base AS build
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts/build.js scripts/bundled-packages.js scripts/
COPY src src
COPY plugins plugins
COPY routes routes
RUN node scripts/build.js --without-declarations

FROM base AS dependencies
RUN npm ci --omit=dev --no-audit --no-fund

# Of Node only the program: no npm, npx, corepack and yarn, in no layer. Debian slim has the libraries that it needs.
FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="signout" \
  org.opencontainers.image.description="An auth service in which a logout is real." \
  org.opencontainers.image.source="https://github.com/signout/signout" \
  org.opencontainers.image.licenses="MIT"
COPY --from=base /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 DATA_DIR=/var/lib/signout SHUTDOWN_DELAY=5
# The embedded mode keeps its database and its secret here; with DATABASE_URL and REDIS_URL it stays empty.
RUN groupadd --gid 1000 signout \
  && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin signout \
  && install -d -o signout -g signout -m 0700 /var/lib/signout
COPY package.json ./
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY src/db/migrations src/db/migrations
COPY src/db/initdb src/db/initdb
# The user `signout`, as a number, so that an orchestrator can see that it is not root.
USER 1000:1000
VOLUME /var/lib/signout
EXPOSE 3000
# Whether the process answers. That Redis is down is no reason to replace it: /health/ready is for load balancers.
# Bash asks, because a second Node would take 50 MB and much of a small processor, every five seconds.
HEALTHCHECK --interval=5s --timeout=3s --start-period=90s --retries=3 \
  CMD ["bash", "-c", "exec 3<>\"/dev/tcp/127.0.0.1/$PORT\" && printf 'GET /health/live HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r -t 2 _ status _ <&3 && [ \"$status\" = 200 ]"]
CMD ["node", "dist/src/server.js"]
