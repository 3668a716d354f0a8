# The operator as one static program, in an image that contains nothing else.
#
# It is linked with musl rather than glibc: a static program needs no base image, which would need updates of its own. Each
# platform is built natively (buildx emulates other platforms than this machine's). That is slower than cross-compiling, but
# avoids a second C toolchain for ring's C and assembly.

FROM rust:1-alpine AS build
RUN apk add --no-cache ca-certificates gcc musl-dev
WORKDIR /src
COPY . .
ARG TARGETARCH
# --bin excludes the dev-dependencies, and with them the playground. Dependencies that did not change are not compiled
# again: the target directory, one per platform, is kept between builds. --target is the host's own: without it, RUSTFLAGS
# would also apply to procedural macros, and a static procedural macro can't be loaded.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,id=smooth-operator-target-${TARGETARCH},sharing=locked \
    T="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --bin smooth-operator --target "$T" \
    && cp "target/$T/release/smooth-operator" /smooth-operator

FROM scratch
# For a kubeconfig with an API server whose certificate comes from a public authority. In a cluster, the service account
# has its own.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /smooth-operator /smooth-operator
# A number, because the kubelet can't tell from a name that the user is not root.
USER 65532:65532
# metrics, health; with the components of config/full also metrics over HTTPS and the webhook
EXPOSE 8080 8081 8443 9443
ENTRYPOINT ["/smooth-operator"]
CMD ["run"]
