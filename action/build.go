package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inhaul/inhaul/spec"
)

const (
	buildTimeout     = 2 * time.Hour
	probeTimeout     = 30 * time.Second // "is it there?"
	maxMetadataBytes = 1 << 20          // what a builder writes about its image
)

// Exec runs other programs.
type Exec interface {
	// Run runs c to its end. A program that is not installed is exec.ErrNotFound.
	Run(ctx context.Context, c Command) error
}

// Command is a program to run.
type Command struct {
	Args []string // the program first
	Dir  string
	Out  io.Writer // takes both output streams
}

// build is one image to build and push.
type build struct {
	builder    string // as in Inputs
	repository string
	tag        string
	cache      string // reference, empty: none
	commit     string
	dockerfile string // path in the repository
	context    string // path in the repository
	target     string
	args       map[string]string
	platforms  []string
	buildpacks bool
	base       string   // image of the buildpacks builder
	packs      []string // buildpacks; empty: the builder detects them
	secrets    []buildSecret
	mounts     []string // the arguments that name the secrets' files, once there are any
}

func (a *Action) newBuild(d *deploy) build {
	declared := d.file.Build
	args := maps.Clone(declared.Args)
	if args == nil {
		args = make(map[string]string)
	}
	maps.Copy(args, d.inputs.BuildArgs)
	b := build{
		builder: d.inputs.Builder, repository: d.images, commit: d.code, secrets: d.inputs.Secrets,
		dockerfile: dockerfile(d.config, declared), context: path.Join(path.Dir(d.config), declared.Context),
		target: declared.Target, args: args, platforms: d.inputs.Platforms,
		buildpacks: declared.Method == spec.BuildBuildpacks, packs: declared.Buildpacks,
	}
	if b.buildpacks {
		b.base = cmp.Or(declared.Builder, spec.DefaultBuilder)
	}
	b.tag = imageTag(d.code, b.key())
	if d.inputs.Cache {
		b.cache = b.repository + ":" + cacheTag(b.key())
	}
	return b
}

func (b build) reference() string { return b.repository + ":" + b.tag }

// common is the part of the command line that both builders spell alike.
func (b build) common() []string {
	args := []string{"--file", b.dockerfile, "--tag", b.reference(), "--label", "org.opencontainers.image.revision=" + b.commit}
	if len(b.platforms) > 0 {
		args = append(args, "--platform", strings.Join(b.platforms, ","))
	}
	if b.target != "" {
		args = append(args, "--target", b.target)
	}
	for _, name := range slices.Sorted(maps.Keys(b.args)) {
		args = append(args, "--build-arg", name+"="+b.args[name])
	}
	return append(args, b.mounts...)
}

// build builds and pushes the image, and returns its digest and how long each
// part took.
func (a *Action) build(ctx context.Context, b build) (digest string, steps []step, err error) {
	if b.context == ".." || strings.HasPrefix(b.context, "../") {
		return "", nil, userError("the build's context "+b.context+" is outside of the repository", "correct build.context in inhaul.yaml")
	}
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	program, err := a.builderOf(ctx, b)
	if err != nil {
		return "", nil, err
	}
	gh := a.github()
	gh.Group("Build " + b.reference())
	defer gh.EndGroup()
	temp, err := os.MkdirTemp(a.Temp, "inhaul-build-")
	if err != nil {
		return "", nil, fmt.Errorf("preparing the build: %w", err)
	}
	defer os.RemoveAll(temp) //nolint:errcheck // the runner clears its temporary directory anyway
	if b.mounts, err = mountSecrets(b.secrets, temp); err != nil {
		return "", nil, err
	}
	switch program[0] {
	case builderPack:
		return a.pack(ctx, b)
	case builderBuildah:
		return a.buildah(ctx, b, filepath.Join(temp, "digest"))
	}
	return a.buildx(ctx, b, program, filepath.Join(temp, "metadata.json"))
}

// builderOf returns the program that can make the image, once what it needs is
// there.
func (a *Action) builderOf(ctx context.Context, b build) ([]string, error) {
	if b.buildpacks && len(b.secrets) > 0 {
		return nil, userError("the image is to be made by buildpacks, which take no build secrets", "leave out the input secrets, or write a Dockerfile")
	}
	if b.buildpacks {
		if a.probe(ctx, io.Discard, builderPack, "version") != nil {
			return nil, userError("the image is to be made by buildpacks, and the program pack is not installed",
				"add buildpacks/github-actions/setup-pack as a step before, or write a Dockerfile")
		}
		return []string{builderPack}, nil
	}
	if err := a.hasDockerfile(b); err != nil {
		return nil, err
	}
	return a.findBuilder(ctx, b.builder)
}

// hasDockerfile returns what is wrong with a build that needs a Dockerfile.
func (a *Action) hasDockerfile(b build) error {
	if b.buildpacks {
		return nil
	}
	if _, err := fs.Stat(a.Files, b.dockerfile); err != nil {
		return &UserError{
			Message: "there is no Dockerfile at " + b.dockerfile,
			Next:    "write one there, or say where it is with build.dockerfile and build.context in inhaul.yaml, or `build: {method: buildpacks}`",
		}
	}
	return nil
}

// findBuilder returns the command of the first builder that answers.
func (a *Action) findBuilder(ctx context.Context, wanted string) ([]string, error) {
	buildx := [][]string{{"docker", "buildx"}, {"buildx"}}
	candidates := buildx
	switch wanted {
	case builderAuto:
		candidates = append(candidates, []string{builderBuildah})
	case builderBuildah:
		candidates = [][]string{{builderBuildah}}
	}
	for _, candidate := range candidates {
		if a.probe(ctx, io.Discard, append(slices.Clone(candidate), "version")...) == nil {
			return candidate, nil
		}
	}
	return nil, userError("no image builder is installed (looked for "+wanted+")",
		"add docker/setup-buildx-action as a step before, or install buildah, or build the image elsewhere and give it in the image input")
}

// probe runs a program that only tells something.
func (a *Action) probe(ctx context.Context, out io.Writer, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return a.Exec.Run(ctx, Command{Args: args, Dir: a.Dir, Out: out})
}

// stream runs a builder and shows what it prints. Its failure is the user's,
// with the last lines.
func (a *Action) stream(ctx context.Context, b build, args []string) error {
	last := &tail{out: a.Out}
	shown := redacting(last, b.secrets)
	err := a.Exec.Run(ctx, Command{Args: args, Dir: a.Dir, Out: shown})
	shown.flush()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("building the image: %w", errors.Join(ctx.Err(), err))
	}
	return b.failure(err, last.lines())
}

// failure says what a builder's last lines mean.
func (b build) failure(err error, lines []string) error {
	text := strings.Join(lines, "\n")
	e := &UserError{Message: fmt.Sprintf("building the image: %v\n%s", err, text), File: b.dockerfile}
	if b.buildpacks {
		e.File = ""
	}
	// BuildKit names the place as "Dockerfile:12".
	place := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(path.Base(b.dockerfile)) + `:(\d{1,6})$`)
	if m := place.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1]) // up to six digits
	}
	e.Next = "read the lines above; the whole log is in the group Build"
	for _, sign := range []string{"401 Unauthorized", "403 Forbidden", "no basic auth credentials", "authorization failed", "denied: "} {
		if strings.Contains(text, sign) {
			host, _, _ := strings.Cut(b.repository, "/")
			e.Next = fmt.Sprintf("the registry refused: run `docker login %s`, or aws-actions/amazon-ecr-login, in a step before, and check that the role may push to %s", host, b.repository)
			break
		}
	}
	return e
}
