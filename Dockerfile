# The images for those who have Docker: `docker build --target boboyka-sidecar .`, `docker build --target boboyka-operator .`
# `make images` makes the same without it; a test keeps the two in step.
FROM --platform=linux/amd64 rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN make images

FROM scratch AS boboyka-operator
ARG TARGETARCH
LABEL org.opencontainers.image.title="boboyka-operator"
LABEL org.opencontainers.image.description="Turns a BoboykaIntegration into sidecars, strands on volumes, and a gated migration"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /src/target/images/boboyka-operator/$TARGETARCH/ /
USER 65532:65532
ENTRYPOINT ["/boboyka-operator"]

FROM scratch AS boboyka-sidecar
ARG TARGETARCH
LABEL org.opencontainers.image.title="boboyka-sidecar"
LABEL org.opencontainers.image.description="Takes Boboyka's records, keeps them in a hash-chained strand, mirrors them to Supabase"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /src/target/images/boboyka-sidecar/$TARGETARCH/ /
USER 65532:65532
ENTRYPOINT ["/boboyka-sidecar"]
