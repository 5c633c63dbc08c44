# Postern ships as a tree: Node runs the TypeScript as it is.
FROM node:24-bookworm-slim AS install
WORKDIR /opt/postern
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /opt/postern
COPY --from=install /opt/postern/node_modules ./node_modules
COPY package.json LICENSE ./
COPY bin ./bin
COPY src ./src
COPY views ./views
COPY static ./static
# The configuration, the keys file and the embedded store live here: mount a volume.
RUN install -d -o node -g node -m 0750 /etc/postern /var/lib/postern /var/cache/postern
USER node
# Compiled here once, with the flags of the start: it takes half as long then.
ENV NODE_COMPILE_CACHE=/var/cache/postern
RUN ["node", "--no-memory-reducer", "--min-semi-space-size=64", "--import", "/opt/postern/src/cli/program.ts", \
  "--import", "/opt/postern/src/gateway.ts", "--import", "/opt/postern/src/gateway/beside.ts", "-e", "import('imapflow')"]
WORKDIR /etc/postern
EXPOSE 8080
# The operators' listener answers on loopback inside the container; change the address together with `operators.listen`.
ENV POSTERN_HEALTH_URL=http://127.0.0.1:9090/-/live
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(process.env.POSTERN_HEALTH_URL).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
# exec form: node is process 1 and gets the signal itself.
# The flags are those of deploy/postern.service.
ENTRYPOINT ["node", "--no-memory-reducer", "--min-semi-space-size=64", "/opt/postern/bin/postern.mjs"]
CMD ["serve", "-c", "/etc/postern/postern.yaml"]
