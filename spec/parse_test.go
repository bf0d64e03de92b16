package spec

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestGolden(t *testing.T) {
	t.Parallel()
	stories, err := filepath.Glob("testdata/*/inhaul.yaml")
	if err != nil || len(stories) == 0 {
		t.Fatalf("stories: %d, %v", len(stories), err)
	}
	for _, story := range stories {
		dir := filepath.Dir(story)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(story)
			if err != nil {
				t.Fatal(err)
			}
			files, err := ParseAll("inhaul.yaml", data)
			if err != nil {
				golden(t, filepath.Join(dir, "want.txt"), err.Error()+"\n")
				return
			}
			golden(t, filepath.Join(dir, "want.json"), resolved(t, files))
		})
	}
}

// meaning is what a file says of one app.
type meaning struct {
	Build        Build          `json:"build"`
	Environments map[string]App `json:"environments"`
}

// resolved returns the build and the app of every environment as JSON, and those
// of a preview where the file has something for previews.
func resolved(t *testing.T, files []*File) string {
	t.Helper()
	apps := map[string]meaning{}
	for _, file := range files {
		names := file.EnvironmentNames()
		if slices.Contains(names, "preview") {
			names = append(slices.DeleteFunc(names, func(name string) bool { return name == "preview" }), "pr-1")
		}
		all := map[string]App{}
		for _, name := range names {
			app, err := file.Resolve(name)
			if err != nil {
				t.Fatalf("resolving %s: %v", name, err)
			}
			if err := app.Validate(); err != nil {
				t.Errorf("%s is refused in an intent: %v", name, err)
			}
			all[name] = app
		}
		apps[file.App] = meaning{file.Build, all}
	}
	var want any = apps
	if len(files) == 1 {
		want = apps[files[0].App]
	}
	out, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "\n"
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
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

func TestMessagesNeverRepeatASecret(t *testing.T) {
	t.Parallel()
	_, err := Parse("inhaul.yaml", []byte("app: shop\nservices: {web: {type: web, env: {DB: 'amqp://u:hunter2@q/'}}}\n"))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without the password", err)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	t.Run("refuses a file that is too large", func(t *testing.T) {
		t.Parallel()
		_, err := Parse("inhaul.yaml", make([]byte, MaxFileBytes+1))
		if want := "inhaul.yaml:1:1: the file has 262145 bytes, want at most 262144"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
	t.Run("refuses a small file that stands for a huge one", func(t *testing.T) {
		t.Parallel()
		var b strings.Builder
		b.WriteString("app: shop\nenv: &a0\n")
		for i := range 2000 {
			fmt.Fprintf(&b, "  K%d: v\n", i)
		}
		b.WriteString("services:\n")
		for i := range 40 {
			b.WriteString("  s" + strings.Repeat("a", i) + ": {type: worker, env: {<<: [*a0, *a0, *a0, *a0]}}\n")
		}
		_, err := Parse("inhaul.yaml", []byte(b.String()))
		if err == nil || !strings.Contains(err.Error(), "use fewer YAML aliases") {
			t.Errorf("got %.300v, want a refusal", err)
		}
	})
	t.Run("ends with a merge of itself", func(t *testing.T) {
		t.Parallel()
		_, err := Parse("inhaul.yaml", []byte("app: shop\nservices: &s\n  <<: *s\n  web: {type: web}\n"))
		if err == nil || !strings.Contains(err.Error(), "nested more than 8 deep") {
			t.Errorf("got %v, want a refusal", err)
		}
	})
	t.Run("keeps at most 100 mistakes", func(t *testing.T) {
		t.Parallel()
		var b strings.Builder
		for i := range 500 {
			b.WriteString(strings.Repeat("k", i+1) + ": 1\n")
		}
		_, err := Parse("inhaul.yaml", []byte(b.String()))
		if errs := (Errors{}); !errors.As(err, &errs) || len(errs) != maxErrors {
			t.Errorf("got %d mistakes, want %d", len(errs), maxErrors)
		}
	})
}

func FuzzParse(f *testing.F) {
	stories, _ := filepath.Glob("testdata/*/inhaul.yaml")
	for _, story := range stories {
		data, err := os.ReadFile(story)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("app: a\nservices: {j: {type: job, schedule: 'TZ= 0 3 * * *', timezone: UTC}}\n"))
	f.Add([]byte("a: &a [*a]\nb: {<<: *a}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := ParseAll("inhaul.yaml", data)
		if err != nil {
			var errs Errors
			if !errors.As(err, &errs) || len(errs) == 0 || len(errs) > maxErrors {
				t.Fatalf("got %T with %d mistakes, want 1 to %d", err, len(errs), maxErrors)
			}
			for _, e := range errs {
				if e.Line < 1 || e.Column < 1 || len(e.Message) > 16<<10 {
					t.Fatalf("got a mistake at %d:%d of %d bytes", e.Line, e.Column, len(e.Message))
				}
			}
			return
		}
		for _, file := range files {
			file.Affected([]string{"a/b.md", "inhaul.yaml"})
			for _, name := range append(file.EnvironmentNames(), "pr-1") {
				app, err := file.Resolve(name)
				if err != nil {
					t.Fatalf("a file without mistakes does not resolve: %v", err)
				}
				if err := app.Validate(); err != nil {
					t.Fatalf("a file without mistakes makes an intent that is refused: %v", err)
				}
			}
		}
	})
}
