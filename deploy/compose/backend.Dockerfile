# A backend of the demo: a small IMAP server and a webmail. docs/containers.md
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim

FROM ${NODE_IMAGE}
WORKDIR /opt/demo
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=optional
COPY demo ./demo
RUN install -d -o 1000 -g 1000 -m 0700 /var/lib/demo
USER 1000:1000
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "demo/backend.ts"]
