package spec

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	t.Run("says which environments there are", func(t *testing.T) {
		t.Parallel()
		_, err := parsed(t, onlyWeb).Resolve("prodution")
		want := `unknown environment "prodution" (did you mean "production"?): the file has production`
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
	t.Run("takes no other name for a preview", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"pr-", "pr-0", "pr-07", "pr-x", "xpr-7", "pr-7x", "preview", "pr-12345678901"} {
			if _, err := parsed(t, onlyWeb).Resolve(name); err == nil {
				t.Errorf("%s: got no error", name)
			}
		}
	})
	t.Run("resolves a preview by the file alone", func(t *testing.T) {
		t.Parallel()
		f := parsed(t, onlyWeb+"env: {A: file}\nenvironments: {production: {branch: main, env: {A: production}}}\n")
		app, err := f.Resolve("pr-7")
		if err != nil {
			t.Fatal(err)
		}
		if got := app.Services[0].Env["A"]; got != "file" {
			t.Errorf("got %q, want that of the file", got)
		}
	})
	t.Run("keeps production beside what is said of previews", func(t *testing.T) {
		t.Parallel()
		f := parsed(t, onlyWeb+"environments: {preview: {env: {A: b}}}\n")
		if diff := cmp.Diff([]string{"preview", "production"}, f.EnvironmentNames()); diff != "" {
			t.Errorf("got +, want -\n%s", diff)
		}
		if name, ok := f.Environment("refs/heads/main"); name != "production" || !ok {
			t.Errorf("got %q, %v, want production", name, ok)
		}
	})
}

// TestResolveSharesNoMemory turns all of an app into something else and resolves
// it again.
func TestResolveSharesNoMemory(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*/want.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "inhaul.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		apps, err := ParseAll("inhaul.yaml", text)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range apps {
			for _, name := range append(f.EnvironmentNames(), "pr-1") {
				first, err := f.Resolve(name)
				if err != nil {
					t.Fatal(err)
				}
				want := asJSON(t, first)
				spoil(reflect.ValueOf(&first).Elem())
				second, err := f.Resolve(name)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, asJSON(t, second)); diff != "" {
					t.Errorf("%s, %s: got +, want -\n%s", file, name, diff)
				}
			}
		}
	}
}

func asJSON(t *testing.T, a App) string {
	t.Helper()
	text, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// spoil changes every text and every variable that v leads to.
func spoil(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			spoil(v.Elem())
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			spoil(field)
		}
	case reflect.Slice:
		for i := range v.Len() {
			spoil(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			v.SetMapIndex(k, reflect.ValueOf("spoiled"))
		}
	case reflect.String:
		v.SetString("spoiled")
	default:
	}
}

// TestOneSpellingPerMeaning is about files that differ in their words alone: an
// intent of the one is an intent of the other.
func TestOneSpellingPerMeaning(t *testing.T) {
	t.Parallel()
	const web, job = "app: shop\nservices: {s: {type: web, ", "app: shop\nservices: {s: {type: job, "
	for _, c := range []struct{ kind, one, other string }{
		{web, "grace: 60s", "grace: 1m"},
		{web, "grace: 30s", ""},
		{web, "cpu: 0.5", "cpu: 500m"},
		{web, "cpu: 1000m", "cpu: 1"},
		{web, "memory: 1.5Gi", "memory: 1536Mi"},
		{web, "memory: 1024Mi", "memory: 1Gi"},
		{web, "memory: 268435456", ""},
		{web, "memory: 0.5G", "memory: 500M"},
		{web, "size: Standard-1X", "cpu: 250m, memory: 512Mi"},
		{web, "port: 8080, replicas: 1", ""},
		{web, "health: {path: /a, timeout: 115s}", "health: {path: /a}"},
		{web, "scale: {max: 3}", "scale: {min: 1, max: 3, cpu: 70}"},
		{web, "scale: {max: 3, queue: {type: redis, name: q, from: R}}, env: {R: x}", "scale: {max: 3, queue: {type: redis, name: q, from: R, length: 10}}, env: {R: x}"},
		{web, "public: true, domains: [], allowFrom: []", ""},
		{web, "domains: [A.example.com], paths: [/b/, /a]", "domains: [a.example.com], paths: [/a, /b]"},
		{web, "domains: [a.example.com], paths: [/]", "domains: [a.example.com]"},
		{web, "allowFrom: [b, a]", "allowFrom: [a, b]"},
		{web, "volumes: {a: {path: /x/../a/, size: 1024Mi}}", "volumes: {a: {path: /a, size: 1Gi}}"},
		{web, "env: {A: 1}", `env: {A: "1"}`},
		{job, "schedule: '@daily'", "schedule: '0  0 * * *'"},
		{job, "schedule: '@daily', timezone: UTC, overlap: forbid, deadline: 60m, retries: 0, history: 3", "schedule: '0 0 * * *'"},
	} {
		one, err := parsed(t, c.kind+c.one+"}}\n").Resolve("production")
		if err != nil {
			t.Fatal(err)
		}
		other, err := parsed(t, c.kind+c.other+"}}\n").Resolve("production")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(one, other); diff != "" {
			t.Errorf("%s and %s: got +, want -\n%s", c.one, c.other, diff)
		}
	}
}

func TestAutoRollbackIsSaidOnceOrPerEnvironment(t *testing.T) {
	t.Parallel()
	environments := "environments:\n  production: {branch: main}\n  staging: {branch: develop, autoRollback: %s}\n"
	for _, c := range []struct {
		file                string
		production, staging bool // the failed release is kept
	}{
		{"", false, true},
		{"autoRollback: true\n", false, true},
		{"autoRollback: false\n", true, true},
	} {
		f := parsed(t, onlyWeb+c.file+fmt.Sprintf(environments, "false"))
		for environment, want := range map[string]bool{"production": c.production, "staging": c.staging} {
			if a, err := f.Resolve(environment); err != nil || a.KeepFailed != want {
				t.Errorf("%q in %s: got %t, %v; want %t", c.file, environment, a.KeepFailed, err, want)
			}
		}
	}
	back := parsed(t, onlyWeb+"autoRollback: false\n"+fmt.Sprintf(environments, "true"))
	if a, err := back.Resolve("staging"); err != nil || a.KeepFailed {
		t.Errorf("got %t, %v; want it on again in staging", a.KeepFailed, err)
	}
}

func TestPredeployOfOneSpelling(t *testing.T) {
	t.Parallel()
	short, _ := parsed(t, onlyWeb+"predeploy: bin/migrate\n").Resolve("production")
	long, _ := parsed(t, onlyWeb+"predeploy: {run: bin/migrate, cpu: 0.1, memory: 256Mi, timeout: 600s, onRollback: false}\n").Resolve("production")
	if diff := cmp.Diff(short, long); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
	if short.Predeploy == nil || !strings.HasPrefix(short.Predeploy.Run.Shell, "bin/") {
		t.Errorf("got %v, want a predeploy", short.Predeploy)
	}
}
