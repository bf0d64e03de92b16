package inhaul_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// goreleaser is what has to hold of .goreleaser.yaml. That it is valid, goreleaser
// itself says in make release-check.
type goreleaser struct {
	Builds []struct {
		ID, Main, Binary string
		Env, Flags       []string
		Ldflags          []string
		Goos, Goarch     []string
		Goamd64, Goarm64 []string
		ModTimestamp     string `json:"mod_timestamp"`
	}
	Archives []struct {
		IDs          []string `json:"ids"`
		NameTemplate string   `json:"name_template"`
		Formats      []string
	}
	Checksum struct {
		NameTemplate string `json:"name_template"`
	}
	Signs []struct {
		Cmd, Artifacts, Signature string
		Args                      []string
	}
	Release struct{ Draft bool }
}

func releaseConfig(t *testing.T) goreleaser {
	t.Helper()
	var config goreleaser
	if err := yaml.Unmarshal([]byte(read(t, ".goreleaser.yaml")), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestEveryProgramIsReleased(t *testing.T) {
	t.Parallel()
	got := map[string][]string{}
	config := releaseConfig(t)
	for _, build := range config.Builds {
		if build.ID != build.Binary || build.Main != "./cmd/"+build.ID {
			t.Errorf("got the build %s of %s into %s, want one name", build.ID, build.Main, build.Binary)
		}
		for _, system := range build.Goos {
			for _, processor := range build.Goarch {
				got[build.ID] = append(got[build.ID], system+"/"+processor)
			}
		}
	}
	linux := []string{"linux/amd64", "linux/arm64"}
	want := map[string][]string{
		"inhaul":        append(slices.Clone(linux), "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"),
		"inhaul-action": linux, "inhaul-agent": linux,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("builds (-want +got):\n%s", diff)
	}
	commands, err := filepath.Glob("cmd/*")
	if err != nil || len(commands) != len(want) {
		t.Errorf("got the programs %v, %v; want each in .goreleaser.yaml", commands, err)
	}
	for _, command := range commands {
		if want[filepath.Base(command)] == nil {
			t.Errorf("%s is not released", command)
		}
		if source := read(t, filepath.Join(command, "main.go")); !strings.Contains(source, "\nvar released string ") {
			t.Errorf("%s has no variable that takes the version: -X main.released would do nothing", command)
		}
	}
}

func TestWhatTheActionDownloadsIsReleasedUnderThatName(t *testing.T) {
	t.Parallel()
	for _, archive := range releaseConfig(t).Archives {
		if slices.Contains(archive.IDs, "inhaul-action") {
			if archive.NameTemplate != "{{ .Binary }}_{{ .Os }}_{{ .Arch }}" || !slices.Equal(archive.Formats, []string{"binary"}) {
				t.Errorf("got %s as %v, want the bare program as inhaul-action_OS_ARCH: hack/release/manifest names that", archive.NameTemplate, archive.Formats)
			}
			return
		}
	}
	t.Error("no archive has inhaul-action")
}

func TestAReleaseIsSignedAndDraftedFirst(t *testing.T) {
	t.Parallel()
	config := releaseConfig(t)
	if config.Checksum.NameTemplate != "checksums.txt" || !config.Release.Draft {
		t.Errorf("got checksums in %q and draft %v, want checksums.txt and a draft, which release.yml verifies", config.Checksum.NameTemplate, config.Release.Draft)
	}
	if len(config.Signs) != 1 || config.Signs[0].Artifacts != "checksum" || config.Signs[0].Signature != "${artifact}.sigstore.json" ||
		!slices.Contains(config.Signs[0].Args, "--bundle=${signature}") {
		t.Errorf("got %+v, want the checksums signed into a bundle", config.Signs)
	}
}

// The three places that build what is released say the same flags: with others
// the bytes would differ.
func TestAllBuildsOfAReleaseHaveTheSameFlags(t *testing.T) {
	t.Parallel()
	script, image := read(t, "hack/release/build"), read(t, "Dockerfile")
	for _, build := range releaseConfig(t).Builds {
		flags := "go build " + strings.Join(build.Flags, " ") + ` -ldflags="` + strings.Join(build.Ldflags, " ") + `"`
		for name, text := range map[string]string{
			"hack/release/build": strings.ReplaceAll(flags, "{{ .Tag }}", "$version"),
			"Dockerfile":         strings.ReplaceAll(flags, "{{ .Tag }}", "$VERSION"),
		} {
			if !strings.Contains(read(t, name), text) {
				t.Errorf("%s of %s: want %q, as in .goreleaser.yaml", name, build.ID, text)
			}
		}
		environment := slices.Concat(build.Env, []string{"GOAMD64=" + strings.Join(build.Goamd64, ","), "GOARM64=" + strings.Join(build.Goarm64, ",")})
		for _, setting := range environment {
			if !strings.Contains(script, setting) || !strings.Contains(image, setting) {
				t.Errorf("%s: %s of .goreleaser.yaml is not in hack/release/build and the Dockerfile", build.ID, setting)
			}
		}
		if build.ModTimestamp != "{{ .CommitTimestamp }}" {
			t.Errorf("%s: got the time %q, want that of the commit", build.ID, build.ModTimestamp)
		}
	}
}

// workflow is what has to hold of every workflow of this repository.
type workflow struct {
	Permissions *map[string]string
	Concurrency any
	Jobs        map[string]struct {
		TimeoutMinutes int `json:"timeout-minutes"`
		Permissions    map[string]string
		Steps          []struct {
			Uses string
			With map[string]any
		}
	}
}

func TestWorkflowsArePinnedBoundedAndAskForLittle(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(".github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("got the workflows %v, %v", files, err)
	}
	// With the version beside it, which a reader and an updating bot need.
	pinned := regexp.MustCompile(`^\s*(?:- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, file := range files {
		text := read(t, file)
		for line := range strings.Lines(text) {
			if strings.Contains(line, "uses:") && !pinned.MatchString(strings.TrimRight(line, "\n")) {
				t.Errorf("%s: got %q, want a full commit and its version", file, strings.TrimSpace(line))
			}
		}
		var w workflow
		if err := yaml.Unmarshal([]byte(text), &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if w.Permissions == nil || w.Concurrency == nil {
			t.Errorf("%s: want permissions and concurrency of the whole workflow", file)
		}
		for name, job := range w.Jobs {
			if job.TimeoutMinutes == 0 {
				t.Errorf("%s: job %s has no timeout", file, name)
			}
			for _, step := range job.Steps {
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("%s: job %s leaves its token in the checkout", file, name)
				}
			}
		}
	}
}

// What make release-check tries is what the workflow runs.
func TestTheWorkflowsGoreleaserIsTheOneThatWasTried(t *testing.T) {
	t.Parallel()
	tried := regexp.MustCompile(`github.com/goreleaser/goreleaser/v2 (v\S+)`).FindStringSubmatch(read(t, "lab/parts/goreleaser/go.mod"))
	if tried == nil || !strings.Contains(read(t, ".github/workflows/release.yml"), "  GORELEASER: "+tried[1]+" ") {
		t.Errorf("release.yml does not run %v", tried)
	}
}
