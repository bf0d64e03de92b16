# The agent's image: one static binary, no shell, not root.
#
#   docker build -t inhaul-agent .
#
# A binary built elsewhere can stand in for the build stage, without Go in the
# builder:  docker buildx build --build-context build=DIR .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags="-s -w" -o /inhaul-agent ./cmd/inhaul-agent
RUN cp /etc/ssl/certs/ca-certificates.crt /ca-certificates.crt

FROM scratch
COPY --from=build /ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /inhaul-agent /inhaul-agent
USER 65532:65532
ENTRYPOINT ["/inhaul-agent"]
