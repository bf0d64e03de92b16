package action

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// ownBuilder is the BuildKit instance that is made when Docker's default one
// cannot export a cache.
const ownBuilder = "inhaul"

// buildx builds and pushes in one go; program is "docker buildx" or "buildx".
func (a *Action) buildx(ctx context.Context, b build, program []string, metadata string) (digest string, steps []step, err error) {
	start := a.Now()
	args := append(slices.Clone(program), "build", "--progress", "plain", "--push", "--metadata-file", metadata,
		// Provenance would change the digest on every build of the same: moby/buildkit#5894.
		"--provenance=false", "--sbom=false")
	args = append(args, b.common()...)
	if b.cache != "" {
		if builder := a.cachingBuilder(ctx, program); builder != "" {
			args = append(args, "--builder", builder)
		}
		// A registry that keeps all tags immutable refuses the second export;
		// that costs the next build its cache, not this one its success.
		args = append(args, "--cache-from", "type=registry,ref="+b.cache,
			"--cache-to", "type=registry,ref="+b.cache+",mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true")
	}
	if err := a.stream(ctx, b, append(args, b.context)); err != nil {
		return "", nil, err
	}
	steps = []step{{"build and push", a.Now().Sub(start)}}
	data, err := readFile(metadata)
	if err != nil {
		return "", nil, fmt.Errorf("reading what buildx wrote: %w", err)
	}
	// https://docs.docker.com/reference/cli/docker/buildx/build/#metadata-file
	var said struct {
		Digest string `json:"containerimage.digest"`
	}
	if err := json.Unmarshal(data, &said); err != nil {
		return "", nil, fmt.Errorf("reading what buildx wrote: %w", err)
	}
	return said.Digest, steps, checkDigest(said.Digest)
}

// cachingBuilder returns the builder to name so that the cache can be exported;
// empty for the default one. Docker's own driver cannot export:
// https://docs.docker.com/build/cache/backends/
func (a *Action) cachingBuilder(ctx context.Context, program []string) string {
	var out bytes.Buffer
	run := func(args ...string) error {
		out.Reset()
		return a.probe(ctx, &out, append(slices.Clone(program), args...)...)
	}
	docker := regexp.MustCompile(`(?m)^Driver:\s+docker\s*$`)
	if run("inspect") != nil || !docker.MatchString(out.String()) {
		return ""
	}
	if run("inspect", ownBuilder) == nil || run("create", "--name", ownBuilder, "--driver", "docker-container") == nil {
		return ownBuilder
	}
	a.github().Warningf("no BuildKit builder could be made, so the build may fail to export its cache: add docker/setup-buildx-action as a step before, or set the input cache to false")
	return ""
}

// buildah builds, then pushes.
func (a *Action) buildah(ctx context.Context, b build, digestFile string) (digest string, steps []step, err error) {
	start := a.Now()
	args := append([]string{builderBuildah, "bud", "--layers"}, b.common()...)
	if err := a.stream(ctx, b, append(args, b.context)); err != nil {
		return "", nil, err
	}
	built := a.Now()
	push := []string{builderBuildah, "push", "--digestfile", digestFile, b.reference(), "docker://" + b.reference()}
	if err := a.stream(ctx, b, push); err != nil {
		return "", nil, err
	}
	steps = []step{{"build", built.Sub(start)}, {"push", a.Now().Sub(built)}}
	data, err := readFile(digestFile)
	if err != nil {
		return "", nil, fmt.Errorf("reading what buildah wrote: %w", err)
	}
	digest = strings.TrimSpace(string(data))
	return digest, steps, checkDigest(digest)
}

// pack lets Cloud Native Buildpacks make the image, from layers that they keep
// beside it.
//
// https://buildpacks.io/docs/for-platform-operators/how-to/integrate-ci/pack/cli/pack_build/
func (a *Action) pack(ctx context.Context, b build) (digest string, steps []step, err error) {
	start := a.Now()
	args := []string{builderPack, "build", b.reference(), "--path", b.context, "--builder", b.base, "--publish", "--no-color"}
	if b.cache != "" {
		args = append(args, "--cache-image", b.cache)
	}
	if len(b.platforms) > 0 {
		args = append(args, "--platform", strings.Join(b.platforms, ","))
	}
	for _, pack := range b.packs {
		args = append(args, "--buildpack", pack)
	}
	for _, name := range slices.Sorted(maps.Keys(b.args)) {
		args = append(args, "--env", name+"="+b.args[name])
	}
	if err := a.stream(ctx, b, args); err != nil {
		return "", nil, err
	}
	steps = []step{{"build and push", a.Now().Sub(start)}}
	digest, found, err := a.Images.FindImage(ctx, b.repository, b.tag)
	if err == nil && !found {
		err = fmt.Errorf("pack ended well, and %s is not in the registry", b.reference())
	}
	return digest, steps, err
}

func checkDigest(digest string) error {
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(digest) {
		return fmt.Errorf("the builder names the image %.100q, want sha256 and 64 hex digits", digest)
	}
	return nil
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name) //nolint:gosec // because the name is a file that this package had made
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read from
	return readAll(file, maxMetadataBytes)
}
