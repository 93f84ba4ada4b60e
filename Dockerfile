# syntax=docker/dockerfile:1
# Copyright The Platen Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Platen's images: docker build --target manager|shim|renderer .
# The target dropboxsim is Dropbox's simulator, for test clusters only.
# hack/images builds the same images without a container engine.

FROM golang:1.26-bookworm AS builder
ARG VERSION=dev
ARG TARGETOS=linux
ARG TARGETARCH=amd64
ARG GO_TAGS=""
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY api api
COPY cmd cmd
COPY controllers controllers
COPY internal internal
COPY hack/hyphens hack/hyphens
COPY hack/licenses hack/licenses
COPY LICENSE LICENSE
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -buildvcs=false -tags "${GO_TAGS}" \
    -ldflags "-s -w -X github.com/platen-dev/platen/internal/version.Version=${VERSION}" -o /out/ ./cmd/... ./hack/hyphens
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -o /tmp/licenses ./hack/licenses \
    && for program in manager shim dropboxsim renderer; do \
         mkdir -p "/out/licenses/$program" && cp LICENSE "/out/licenses/$program/" \
         && CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} /tmp/licenses "./cmd/$program" > "/out/licenses/$program/MODULES.txt" || exit 1; \
       done

FROM gcr.io/distroless/static-debian12:nonroot AS static
USER 65532:65532

FROM static AS manager
COPY --from=builder /out/licenses/manager /licenses
COPY --from=builder /out/manager /manager
ENTRYPOINT ["/manager"]

FROM static AS shim
COPY --from=builder /out/licenses/shim /licenses
COPY --from=builder /out/shim /shim
ENTRYPOINT ["/shim"]

FROM static AS dropboxsim
COPY --from=builder /out/licenses/dropboxsim /licenses
COPY --from=builder /out/dropboxsim /dropboxsim
ENTRYPOINT ["/dropboxsim"]

FROM debian:bookworm-slim AS renderer
COPY hack/images/renderer-dpkg.cfg /etc/dpkg/dpkg.cfg.d/renderer
# PACKAGES names a further list of packages in hack/images, such as web-fonts.txt.
ARG PACKAGES=""
COPY hack/images/renderer-packages.txt hack/images/web-fonts.txt /tmp/packages/
RUN --mount=type=bind,from=builder,source=/out/hyphens,target=/tmp/hyphens \
    apt-get update \
    && sed 's/#.*//' /tmp/packages/renderer-packages.txt ${PACKAGES:+/tmp/packages/$PACKAGES} \
       | DEBIAN_FRONTEND=noninteractive xargs apt-get install --yes --no-install-recommends \
    && /tmp/hyphens /usr/share/hyphen /usr/lib/chromium/hyphen-data \
    && rm -rf /usr/share/hyphen /var/lib/apt/lists/* /tmp/packages \
    && echo "nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin" >> /etc/passwd \
    && echo "nonroot:x:65532:" >> /etc/group
COPY --from=builder /out/licenses/renderer /licenses
COPY --from=builder /out/renderer /renderer
USER 65532:65532
ENTRYPOINT ["/usr/bin/tini", "--", "/renderer"]
