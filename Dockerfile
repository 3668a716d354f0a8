# The operator, as one static program in an image that holds nothing else.
#
# musl and not glibc, because a static program needs no base image: nothing to update in it but itself. Each platform is
# built on itself (for another than this machine's, buildx emulates it): slower than to cross-compile, but without
# a second C toolchain that ring's C and assembly would need.

FROM rust:1-alpine AS build
RUN apk add --no-cache ca-certificates gcc musl-dev
WORKDIR /src
COPY . .
ARG TARGETARCH
# --bin leaves the dev-dependencies out, and with them all of the playground. Dependencies that did not change are not
# compiled again: the target directory outlives this build, one for each platform.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,id=smooth-operator-target-${TARGETARCH},sharing=locked \
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --bin smooth-operator \
    && cp target/release/smooth-operator /smooth-operator

FROM scratch
# For a kubeconfig whose API server has a certificate of a public authority. In a cluster, the service account brings
# its own.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /smooth-operator /smooth-operator
# As a number: the kubelet can't tell from a name that it is not root.
USER 65532:65532
# metrics, health
EXPOSE 8080 8081
ENTRYPOINT ["/smooth-operator"]
CMD ["run"]
