package action

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inhaul/inhaul/envelope"
	"github.com/inhaul/inhaul/intent"
)

// Inputs is what the workflow's author chose in `with:`.
type Inputs struct {
	Mode              string   // deploy, build or sign
	DryRun            bool     // plan only
	Previews          bool     // pull requests have previews
	Configs           []string // paths of inhaul.yaml files in the repository
	Apps              []string // of those the files declare; empty: all
	ImageRepository   string
	IntentsRepository string            // empty: that of the image with -intents behind it
	Image             string            // repository@sha256:…, pushed already; empty: build
	Images            map[string]string // mode sign: the same of several apps, by name; nil: not given
	Environment       string            // empty: by branch
	RollbackTo        string            // previous, a release number or the beginning of a commit; empty: deploy
	Builder           string            // auto, buildx or buildah
	Platforms         []string
	BuildArgs         map[string]string // on top of those in inhaul.yaml
	Secrets           []buildSecret     // that a build can read, and its image does not keep
	Cache             bool
	Wait              bool
	Timeout           time.Duration       // of waiting for the verdict
	Signer            string              // github-oidc or key
	SigningKey        string              // PEM; a secret
	ReceiptKey        *envelope.PublicKey // of the agent; nil: as it is found
	Token             string              // the workflow's; a secret
	Force             bool
	ExpiresIn         time.Duration
}

// The choices of the inputs mode, signer and builder.
const (
	modeDeploy = "deploy" // build, sign, publish, wait
	modeBuild  = "build"  // build and push
	modeSign   = "sign"   // sign, publish, wait

	signerOIDC = "github-oidc"
	signerKey  = "key"

	builderAuto    = "auto"
	builderBuildx  = "buildx"
	builderBuildah = "buildah"
	builderPack    = "pack" // by build.method in inhaul.yaml, not by the input
)

// The bounds of the inputs that are durations.
const (
	minWait      = 10 * time.Second
	maxWait      = 6 * time.Hour // a job on GitHub's runners ends then
	minExpiresIn = time.Minute
)

// input is one input of action.yml: its name, its default there, and where its
// value goes.
type input struct {
	name     string
	fallback string // what action.yml gives without a `with:`, and so does the code
	set      func(in *Inputs, value string) error
}

// declaredInputs is every input; a test compares it with action.yml.
func declaredInputs() []input {
	return []input{
		{"mode", modeDeploy, func(in *Inputs, v string) error { return choice(v, &in.Mode, modeDeploy, modeBuild, modeSign) }},
		{"dry-run", "false", func(in *Inputs, v string) error { return truth(v, &in.DryRun) }},
		{"config", "inhaul.yaml", func(in *Inputs, v string) error { return repositoryPaths(v, &in.Configs) }},
		{"app", "", func(in *Inputs, v string) error { in.Apps = words(v); return nil }},
		{"image-repository", "", func(in *Inputs, v string) error { return repository(v, &in.ImageRepository) }},
		{"intents-repository", "", func(in *Inputs, v string) error { return repository(v, &in.IntentsRepository) }},
		{"image", "", func(in *Inputs, v string) error { return digestReference(v, &in.Image) }},
		{"images", "", func(in *Inputs, v string) error { return imageList(v, &in.Images) }},
		{"environment", "", func(in *Inputs, v string) error { in.Environment = v; return nil }},
		{"previews", "true", func(in *Inputs, v string) error { return truth(v, &in.Previews) }},
		{"rollback-to", "", func(in *Inputs, v string) error { return rollbackTarget(v, &in.RollbackTo) }},
		{"builder", builderAuto, func(in *Inputs, v string) error {
			return choice(v, &in.Builder, builderAuto, builderBuildx, builderBuildah)
		}},
		{"platforms", "", func(in *Inputs, v string) error { return platforms(v, &in.Platforms) }},
		{"build-args", "", func(in *Inputs, v string) error { return buildArgs(v, &in.BuildArgs) }},
		{"secrets", "", func(in *Inputs, v string) error { return buildSecrets(v, &in.Secrets) }},
		{"cache", "true", func(in *Inputs, v string) error { return truth(v, &in.Cache) }},
		{"wait", "true", func(in *Inputs, v string) error { return truth(v, &in.Wait) }},
		{"timeout", "15m", func(in *Inputs, v string) error { return duration(v, &in.Timeout, minWait, maxWait) }},
		{"signer", signerOIDC, func(in *Inputs, v string) error { return choice(v, &in.Signer, signerOIDC, signerKey) }},
		{"signing-key", "", func(in *Inputs, v string) error { in.SigningKey = v; return nil }},
		{"receipt-key", "", func(in *Inputs, v string) error { return receiptKey(v, &in.ReceiptKey) }},
		{"token", "", func(in *Inputs, v string) error { in.Token = v; return nil }},
		{"force", "false", func(in *Inputs, v string) error { return truth(v, &in.Force) }},
		{"expires-in", "24h", func(in *Inputs, v string) error {
			return duration(v, &in.ExpiresIn, minExpiresIn, intent.MaxValidity)
		}},
	}
}

// readInputs masks the secrets first, then reads and checks all inputs at once.
// After an error the inputs are those that could be read.
func (a *Action) readInputs() (Inputs, error) {
	gh := a.github()
	for _, secret := range []string{"signing-key", "token"} {
		for line := range strings.Lines(gh.GetInput(secret)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "-----") {
				gh.AddMask(line)
			}
		}
	}
	a.maskSecrets(gh.GetInput("secrets"))
	var in Inputs
	var problems []error
	for _, i := range declaredInputs() {
		value := gh.GetInput(i.name)
		if value == "" {
			value = i.fallback
		}
		if err := i.set(&in, value); err != nil {
			problems = append(problems, fmt.Errorf("input %s: %w", i.name, err))
		}
	}
	if len(problems) == 0 {
		problems = in.complete()
		if in.Mode != modeSign && in.Image == "" && !in.DryRun {
			problems = append(problems, a.fetchSecrets(in.Secrets)...)
		}
	}
	if len(problems) > 0 {
		return in, userError(errors.Join(problems...).Error(), "correct `with:` in the workflow")
	}
	return in, nil
}

// complete derives what one input says for another, and returns what no single
// input shows.
func (in *Inputs) complete() (problems []error) {
	if in.ImageRepository == "" && in.Image != "" {
		in.ImageRepository = repositoryOf(in.Image)
	}
	switch {
	case in.RollbackTo != "":
		problems = in.completeRollback()
	case in.ImageRepository == "" && !in.DryRun && in.Images == nil:
		problems = append(problems, errors.New("input image-repository: missing: want a repository such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop"))
	}
	if problem := in.completeImages(); problem != nil {
		problems = append(problems, problem)
	}
	if in.Signer == signerKey && in.SigningKey == "" && in.signs() {
		problems = append(problems, errors.New("input signing-key: missing: signer is key"))
	}
	if in.Wait && in.Token == "" && in.signs() {
		problems = append(problems, errors.New("input token: missing: waiting for the verdict needs it"))
	}
	return problems
}

// signs reports whether the run publishes intents.
func (in *Inputs) signs() bool { return in.Mode != modeBuild && !in.DryRun }

// words are what commas, spaces and ends of lines separate.
func words(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' || r == ' ' })
}

func repositoryPaths(value string, into *[]string) error {
	for _, word := range words(value) {
		clean := path.Clean(word)
		if path.IsAbs(word) || clean == ".." || strings.HasPrefix(clean, "../") {
			return fmt.Errorf("want a path inside the repository, got %q", word)
		}
		if !slices.Contains(*into, clean) {
			*into = append(*into, clean)
		}
	}
	if len(*into) == 0 {
		return fmt.Errorf("want a path inside the repository, got %q", value)
	}
	return nil
}

// repository takes a repository with its registry and without tag or digest.
func repository(value string, into *string) error {
	shape := regexp.MustCompile(`^(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[A-Za-z0-9.-]+:[0-9]{1,5}|localhost:[0-9]{1,5})(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)
	if value != "" && (len(value) > 255 || !shape.MatchString(value)) {
		return fmt.Errorf("want registry/repository without tag, in lower case, got %q", value)
	}
	*into = value
	return nil
}

func digestReference(value string, into *string) error {
	if value == "" {
		return nil
	}
	name, digest, _ := strings.Cut(value, "@")
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(digest) {
		return fmt.Errorf("want registry/repository@sha256:…, got %q: a tag can move, a digest cannot", value)
	}
	if slash := strings.LastIndexByte(name, '/'); strings.Contains(name[slash+1:], ":") {
		name = name[:strings.LastIndexByte(name, ':')]
	}
	var repo string
	if err := repository(name, &repo); err != nil || repo == "" {
		return fmt.Errorf("want registry/repository@sha256:…, got %q", value)
	}
	*into = repo + "@" + digest
	return nil
}

// repositoryOf is the repository of a reference by digest.
func repositoryOf(reference string) string {
	name, _, _ := strings.Cut(reference, "@")
	return name
}

func choice(value string, into *string, choices ...string) error {
	if slices.Contains(choices, value) {
		*into = value
		return nil
	}
	return fmt.Errorf("want %s, got %q", strings.Join(choices, " or "), value)
}

func truth(value string, into *bool) error {
	v, err := strconv.ParseBool(value)
	if err != nil {
		return fmt.Errorf("want true or false, got %q", value)
	}
	*into = v
	return nil
}

func duration(value string, into *time.Duration, least, most time.Duration) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < least || d > most {
		return fmt.Errorf("want a duration from %s to %s such as 15m, got %q", least, most, value)
	}
	*into = d
	return nil
}

// platforms takes "linux/amd64,linux/arm64".
func platforms(value string, into *[]string) error {
	for _, p := range words(value) {
		if !regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$`).MatchString(p) {
			return fmt.Errorf("want platforms such as linux/amd64,linux/arm64, got %q", p)
		}
		*into = append(*into, p)
	}
	return nil
}

// buildArgs takes NAME=value lines. A value is not repeated in the error.
func buildArgs(value string, into *map[string]string) error {
	for line := range strings.Lines(value) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, v, found := strings.Cut(line, "=")
		if !found || !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name) {
			return errors.New("want a NAME=value on each line")
		}
		if *into == nil {
			*into = make(map[string]string)
		}
		(*into)[name] = v
	}
	return nil
}
