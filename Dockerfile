# The agent's image: one static binary, no shell, not root.
#
#   docker build -t inhaul-agent .
#
# A binary built elsewhere can stand in for the build stage, without Go in the
# builder:  docker buildx build --build-context build=DIR .
#
# A release gives SOURCE_DATE_EPOCH, VERSION, REVISION, and in GO the exact Go that
# built its programs; the program in its image is then the released one, byte for
# byte, which the release compares. So the base image may be named by a tag: it
# gives the compiler, whose work is compared, and the list of certificate
# authorities, which is the one thing that a later build may have newer. GO can
# name a digest where that has to be the same too.
ARG GO=golang:1.26

FROM --platform=$BUILDPLATFORM ${GO} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION
# The flags of a release: hack/release/build.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOAMD64=v1 GOARM64=v8.0 GOWORK=off GOFLAGS=-trimpath \
    go build -trimpath -buildvcs=false -ldflags="-s -w -buildid= -X main.released=$VERSION" -o /inhaul-agent ./cmd/inhaul-agent
RUN cp /etc/ssl/certs/ca-certificates.crt /ca-certificates.crt

FROM scratch
ARG VERSION REVISION
LABEL org.opencontainers.image.title="inhaul-agent" \
      org.opencontainers.image.description="Pulls signed deploy intents, verifies them, rolls them out and answers with a commit check." \
      org.opencontainers.image.source="https://github.com/inhaul/inhaul" \
      org.opencontainers.image.documentation="https://github.com/inhaul/inhaul/blob/main/docs/operations.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /inhaul-agent /inhaul-agent
USER 65532:65532
ENTRYPOINT ["/inhaul-agent"]
