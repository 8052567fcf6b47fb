# Both services. `docker build --target ext-authz .`, `docker build --target ratelimit .`
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin bulkhead-ext-authz --bin bulkhead-ratelimit
# A volume takes its owner from the folder that it is mounted over.
RUN mkdir -p audit && chown 65532:65532 audit
RUN mkdir link && ln -s /usr/local/bin/bulkhead-ratelimit link/ratelimit

# glibc, libgcc and the certificates of public authorities; no shell, no package manager. Runs as uid 65532.
FROM gcr.io/distroless/cc-debian12:nonroot AS service
USER 65532:65532
COPY --from=build --chown=65532:65532 /src/audit/ /var/lib/bulkhead/audit/

FROM service AS ext-authz
COPY --from=build /src/target/release/bulkhead-ext-authz /usr/local/bin/bulkhead-ext-authz
EXPOSE 9191 9192 9193
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["/usr/local/bin/bulkhead-ext-authz", "probe"]
ENTRYPOINT ["/usr/local/bin/bulkhead-ext-authz"]

FROM service AS ratelimit
COPY --from=build /src/target/release/bulkhead-ratelimit /usr/local/bin/bulkhead-ratelimit
# Where envoyproxy/ratelimit's image has its command: `command: [/bin/ratelimit]` and its environment variables go on working.
COPY --from=build /src/link/ /bin/
EXPOSE 8080 8081 6070 9082 9083
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["/usr/local/bin/bulkhead-ratelimit", "probe"]
ENTRYPOINT ["/usr/local/bin/bulkhead-ratelimit"]
