package action

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestArguments(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world){
		"buildx-with-a-container-driver":  func(w *world) { w.programs.driver = "docker-container" },
		"buildx-with-the-docker-driver":   func(w *world) { w.programs.driver = "docker" },
		"buildx-standalone":               func(w *world) { w.programs.installed = []string{"buildx"} },
		"buildah-when-nothing-else-there": func(w *world) { w.programs.installed = []string{"buildah"} },
		"buildah-when-asked-for": func(w *world) {
			w.programs.installed = []string{"docker", "buildah"}
			w.env["INPUT_BUILDER"] = "buildah"
		},
		"everything-said": func(w *world) {
			w.files["app/inhaul.yaml"] = w.files["inhaul.yaml"]
			w.files["app/inhaul.yaml"].Data = []byte("app: shop\nbuild: {context: src, dockerfile: docker/Dockerfile, target: prod, args: {B: 1, A: one two}}\nservices: {web: {type: web}}\n")
			w.files["app/src/docker/Dockerfile"] = w.files["Dockerfile"]
			with(w.env, "INPUT_CONFIG", "app/inhaul.yaml", "INPUT_PLATFORMS", "linux/amd64,linux/arm64", "INPUT_BUILD-ARGS", "B=2\nC=x=y", "INPUT_CACHE", "false")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			change(w)
			if err := w.Run(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, w.out)
			}
			var got strings.Builder
			for _, args := range w.programs.argv {
				for i, arg := range args {
					if strings.HasPrefix(arg, w.Temp) {
						args[i] = "TEMP/" + filepath.Base(arg)
					}
				}
				line, err := json.Marshal(args)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString(strings.ReplaceAll(string(line), `","`, "\",\n \"") + "\n")
			}
			golden(t, filepath.Join("testdata", "argv", name+".txt"), got.String())
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: got +, want -\n%s", path, diff)
	}
}

func TestActionYAMLSaysWhatTheCodeReads(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Inputs  map[string]struct{ Description, Default string }
		Outputs map[string]struct{ Description, Value string }
		Runs    struct {
			Using string
			Steps []struct {
				ID  string
				Env map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(data, &said); err != nil {
		t.Fatal(err)
	}
	if said.Runs.Using != "composite" || len(said.Runs.Steps) != 1 {
		t.Fatalf("got %s with %d steps, want composite with one", said.Runs.Using, len(said.Runs.Steps))
	}
	env := maps.Clone(said.Runs.Steps[0].Env)
	for _, i := range declaredInputs() {
		declared, ok := said.Inputs[i.name]
		if !ok || declared.Description == "" {
			t.Errorf("input %s: got %+v, want it described", i.name, declared)
		}
		if i.name != "token" && declared.Default != i.fallback {
			t.Errorf("input %s: got the default %q, want %q", i.name, declared.Default, i.fallback)
		}
		variable := "INPUT_" + strings.ToUpper(i.name)
		if want := "${{ inputs." + i.name + " }}"; env[variable] != want {
			t.Errorf("%s: got %q, want %q", variable, env[variable], want)
		}
		delete(said.Inputs, i.name)
		delete(env, variable)
	}
	for _, o := range append(outputs(&deploy{}), [2]string{outputApps}, [2]string{outputPlan}) {
		declared, ok := said.Outputs[o[0]]
		if want := "${{ steps." + said.Runs.Steps[0].ID + ".outputs." + o[0] + " }}"; !ok || declared.Description == "" || declared.Value != want {
			t.Errorf("output %s: got %+v, want it described and %q", o[0], declared, want)
		}
		delete(said.Outputs, o[0])
	}
	if len(said.Inputs)+len(said.Outputs)+len(env) != 0 {
		t.Errorf("got inputs %v, outputs %v and variables %v that the code does not know",
			slices.Collect(maps.Keys(said.Inputs)), slices.Collect(maps.Keys(said.Outputs)), slices.Collect(maps.Keys(env)))
	}
}

func TestInputs(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("a", 64)
	for _, c := range []struct {
		name string
		env  []string
		want string // of the error, empty for none
	}{
		{"take the least", nil, ""},
		{"take a port", []string{"INPUT_IMAGE-REPOSITORY", "localhost:5000/team/app"}, ""},
		{"refuse a tag", []string{"INPUT_IMAGE-REPOSITORY", "example.com/shop:1"}, "input image-repository: want registry/repository without tag"},
		{"refuse a scheme", []string{"INPUT_IMAGE-REPOSITORY", "https://example.com/shop"}, "input image-repository: want"},
		{"refuse a repository of Docker Hub's short kind", []string{"INPUT_IMAGE-REPOSITORY", "acme/shop"}, "input image-repository: want"},
		{"refuse no repository", []string{"INPUT_IMAGE-REPOSITORY", ""}, "input image-repository: missing"},
		{"take an image for a repository", []string{"INPUT_IMAGE-REPOSITORY", "", "INPUT_IMAGE", "example.com/shop@" + digest}, ""},
		{"refuse an image by tag", []string{"INPUT_IMAGE", "example.com/shop:1"}, "a tag can move"},
		{"refuse a config outside", []string{"INPUT_CONFIG", "../inhaul.yaml"}, "input config: want a path inside the repository"},
		{"refuse no config", []string{"INPUT_CONFIG", " , "}, "input config: want a path inside the repository"},
		{"refuse a builder", []string{"INPUT_BUILDER", "kaniko"}, `input builder: want auto or buildx or buildah, got "kaniko"`},
		{"refuse a platform", []string{"INPUT_PLATFORMS", "arm64"}, "input platforms: want platforms such as"},
		{"refuse build arguments without repeating them", []string{"INPUT_BUILD-ARGS", "hunter2"}, "input build-args: want a NAME=value on each line"},
		{"refuse a truth", []string{"INPUT_WAIT", "yes"}, `input wait: want true or false, got "yes"`},
		{"refuse a timeout", []string{"INPUT_TIMEOUT", "15"}, `input timeout: want a duration from 10s to 6h0m0s such as 15m, got "15"`},
		{"refuse a long validity", []string{"INPUT_EXPIRES-IN", "169h"}, "input expires-in: want a duration"},
		{"refuse a signer", []string{"INPUT_SIGNER", "gpg"}, "input signer: want github-oidc or key"},
		{"refuse no key", []string{"INPUT_SIGNER", "key"}, "input signing-key: missing"},
		{"refuse no token", []string{"INPUT_TOKEN", ""}, "input token: missing"},
		{"refuse a rollback to a branch", []string{"INPUT_ROLLBACK-TO", "main"}, `input rollback-to: rollback target: got "main", want previous, a release number`},
		{"refuse a rollback to an image", []string{"INPUT_ROLLBACK-TO", "previous", "INPUT_IMAGE", "example.com/shop@" + digest}, "input image: a rollback brings back the image of its release"},
		{"refuse a forced rollback", []string{"INPUT_ROLLBACK-TO", "7", "INPUT_FORCE", "true"}, "input force: a rollback is deliberate already"},
		{"refuse a rollback from nowhere", []string{"INPUT_ROLLBACK-TO", "7", "INPUT_IMAGE-REPOSITORY", ""}, "input image-repository: missing: want the app's image repository, or its intents-repository"},
		{"say everything at once", []string{"INPUT_WAIT", "x", "INPUT_CACHE", "y"}, "input cache: want true or false, got \"y\"\ninput wait"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			with(w.env, c.env...)
			in, err := w.readInputs()
			if c.want == "" {
				images, intents := repositories(in, "shop", false)
				if err != nil || images != in.ImageRepository || intents != images+"-intents" {
					t.Errorf("got %+v, %v, images in %s, intents in %s", in, err, images, intents)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || ExitCode(err) != 1 || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestWhenAnEventHappened(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, event, payload string
		want                 time.Time
	}{
		{"a push in epoch seconds", "push", `{"repository":{"pushed_at":1795300000}}`, time.Unix(1795300000, 0).UTC()},
		{"a push in RFC 3339", "push", `{"repository":{"pushed_at":"2026-11-22T11:59:58.5Z"}}`, start.Add(-1500 * time.Millisecond)},
		{"a push with a head commit only", "push", `{"head_commit":{"timestamp":"2026-11-22T12:30:00+01:00"}}`, start.Add(-30 * time.Minute)},
		{"a push from the future", "push", `{"repository":{"pushed_at":"2027-01-01T00:00:00Z"}}`, start},
		{"a push that says nothing", "push", `{"head_commit":null,"repository":{"pushed_at":null}}`, start},
		{"a push of nonsense", "push", `{"repository":{"pushed_at":{"a":1}},"head_commit":{"timestamp":"yesterday"}}`, start},
		{"a start by hand", "workflow_dispatch", `{"repository":{"pushed_at":"2026-11-01T00:00:00Z"}}`, start},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var e event
			if err := json.Unmarshal([]byte(c.payload), &e); err != nil {
				t.Fatal(err)
			}
			if got := e.at(c.event, start); !got.Equal(c.want) || got.Location() != time.UTC {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestMarker(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]marker{
		"":     {},
		"none": {},
		`x <!-- inhaul: {"release":12,"url":"https://a.example"} -->`:               {Release: 12, URL: "https://a.example"},
		`<!-- inhaul: {"release":1} --> log <!-- inhaul: {"release":2} -->`:         {Release: 2},
		`<!-- inhaul: {"release":3,"url":"javascript:alert(1)"} -->`:                {Release: 3},
		`<!-- inhaul: {"release":3,"url":"https://a.example/` + "\u0000" + `"} -->`: {},
		`<!-- inhaul: {"release":6,"back":5} -->`:                                   {Release: 6, Back: 5},
		`<!-- inhaul: {"release":6,"back":-5} -->`:                                  {},
		`<!-- inhaul: {"release":6,"restored":4,"commit":"` + commit + `","image":"example.com/shop@sha256:` + strings.Repeat("a", 64) + `"} -->`: {
			Release: 6, Restored: 4, Commit: commit, Image: "example.com/shop@sha256:" + strings.Repeat("a", 64),
		},
		`<!-- inhaul: {"release":6,"restored":4,"commit":"| x","image":"example.com/shop@sha256:` + strings.Repeat("a", 64) + `"} -->`: {Release: 6},
		`<!-- inhaul: {"release":6,"restored":4,"commit":"` + commit + `","image":"example.com/shop:1"} -->`:                           {Release: 6},
		`<!-- inhaul: {"release":-1} -->`: {},
		`<!-- inhaul: {"release":4}`:      {},
		`<!-- inhaul: {"release":5,"x":"` + strings.Repeat("x", maxMarkerBytes) + `"} -->`: {},
	} {
		if got := parseMarker(text); got != want {
			t.Errorf("%.80q: got %+v, want %+v", text, got, want)
		}
	}
}

func TestTheBuildKeyFollowsWhatDecides(t *testing.T) {
	t.Parallel()
	base := build{dockerfile: "Dockerfile", context: ".", args: map[string]string{"A": "1"}}
	seen := map[string]string{base.key(): "base"}
	for name, change := range map[string]func(*build){
		"dockerfile": func(b *build) { b.dockerfile = "x" },
		"context":    func(b *build) { b.context = "x" },
		"target":     func(b *build) { b.target = "x" },
		"args":       func(b *build) { b.args = map[string]string{"A": "2"} },
		"platforms":  func(b *build) { b.platforms = []string{"linux/arm64"} },
	} {
		other := base
		change(&other)
		if twin, same := seen[other.key()]; same {
			t.Errorf("%s: got the key of %s, want another", name, twin)
		}
		seen[other.key()] = name
	}
	other := base
	other.commit, other.repository, other.cache = "x", "y", "z"
	if other.key() != base.key() {
		t.Error("commit, repository or cache change the key")
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	last := &tail{out: &out}
	for range 100 {
		_, _ = last.Write([]byte("line\n\npart"))
		_, _ = last.Write([]byte(strings.Repeat("x", 1000) + "\n"))
	}
	_, _ = last.Write([]byte("the end"))
	lines := last.lines()
	if len(lines) != tailLines || lines[tailLines-1] != "the end" || len(lines[tailLines-2]) != tailLineBytes || lines[tailLines-3] != "line" {
		t.Errorf("got %d lines, the last %.20q", len(lines), lines[len(lines)-1])
	}
	if out.Len() != 100*(len("line\n\npart")+1001)+len("the end") {
		t.Errorf("got %d bytes passed on", out.Len())
	}
}

func TestProgramsKeepSecretsFromBuilds(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := Programs{Env: []string{"INPUT_SIGNING-KEY=hunter2", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=hunter2", "KEPT=yes", "PATH=" + os.Getenv("PATH")}}
	if err := p.Run(t.Context(), Command{Args: []string{"env"}, Out: &out}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "KEPT=yes") {
		t.Errorf("got\n%s", out.String())
	}
}
