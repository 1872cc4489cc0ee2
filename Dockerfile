# Any Debian-like image with Node 20 or newer, for amd64, arm64 or arm/v7. A slim one does where the binaries of better-sqlite3
# can be downloaded; where they cannot, BUILD_BASE must have python3, make and g++ to compile them.
ARG BASE=node:24-slim
ARG BUILD_BASE=${BASE}

FROM ${BUILD_BASE} AS build
WORKDIR /app
# Packages before sources: a change of the sources alone installs nothing again.
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY src src
COPY drivers drivers
RUN node_modules/.bin/tsc --sourceMap false && chmod +x dist/src/main.js && npm prune --omit=dev --no-audit --no-fund

FROM ${BASE}
# glibc's default, eight arenas per core, wastes more memory than several threads of ours gain.
ENV NODE_ENV=production MALLOC_ARENA_MAX=2
COPY --from=build /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
COPY package.json LICENSE scripts/health.mjs /app/
COPY device-profiles /app/device-profiles
RUN ln -s /app/dist/src/main.js /usr/local/bin/tidegate \
  && mkdir -p /etc/tidegate && install -d -o 10001 -g 10001 -m 0750 /var/lib/tidegate
# gateway.yaml is mounted at /etc/tidegate and says `data: /var/lib/tidegate`.
VOLUME /var/lib/tidegate
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["node", "/app/health.mjs"]
# As process 1 it handles SIGTERM itself: it flushes the outboxes, within 5 s.
ENTRYPOINT ["tidegate"]
CMD ["run", "/etc/tidegate/gateway.yaml"]
