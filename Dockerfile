# Postern ships as a tree: Node runs the TypeScript as it is.
# docs/containers.md says how to pin the base image by its digest, and what the other arguments are for.
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim

FROM ${NODE_IMAGE} AS install
WORKDIR /opt/postern
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional

FROM ${NODE_IMAGE}
ENV NODE_ENV=production
WORKDIR /opt/postern
COPY --from=install /opt/postern/node_modules ./node_modules
COPY package.json LICENSE ./
COPY bin ./bin
COPY src ./src
COPY views ./views
COPY static ./static
# The configuration is mounted at /etc/postern, and a volume at /var/lib/postern: nothing else is written.
RUN ln -s /opt/postern/bin/postern.mjs /usr/local/bin/postern \
  && install -d -o 1000 -g 1000 -m 0750 /etc/postern /var/lib/postern /var/cache/postern
# The user `node` of the base image, in numbers: Kubernetes sees that it is not root.
USER 1000:1000
# Compiled here once, with the flags of the start: it takes half as long then.
ENV NODE_COMPILE_CACHE=/var/cache/postern
RUN ["node", "--no-memory-reducer", "--min-semi-space-size=64", "--import", "/opt/postern/src/cli/program.ts", \
  "--import", "/opt/postern/src/gateway.ts", "--import", "/opt/postern/src/gateway/offline.ts", "-e", "import('imapflow')"]
WORKDIR /var/lib/postern
EXPOSE 8080
# The operators' listener answers on loopback inside the container; change the address together with `operators.listen`.
ENV POSTERN_HEALTH_URL=http://127.0.0.1:9090/-/live
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(process.env.POSTERN_HEALTH_URL).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
# exec form: node is process 1 and gets the signal itself. The flags are those of the systemd unit.
ENTRYPOINT ["node", "--no-memory-reducer", "--min-semi-space-size=64", "/opt/postern/bin/postern.mjs"]
CMD ["serve", "-c", "/etc/postern/postern.yaml"]

# Last, so that a new commit does not build anything above again. `postern --version` says the commit, too.
ARG VERSION=unreleased
ARG REVISION=unknown
ARG SOURCE=https://example.org/OWNER/postern
USER 0
RUN echo "${REVISION}" >/opt/postern/commit
USER 1000:1000
LABEL org.opencontainers.image.title="Postern" \
  org.opencontainers.image.description="The front door of a webmail cluster: one sign-in, and the right mailbox server." \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.source="${SOURCE}"
