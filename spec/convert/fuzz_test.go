package convert

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/inhaul/inhaul/spec"
)

// seeds adds the files of that name from the stories.
func seeds(f *testing.F, names ...string) {
	f.Helper()
	for _, name := range names {
		files, _ := filepath.Glob("testdata/*/in/" + name)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(data))
		}
	}
}

// whole checks that whatever is read ends in an inhaul.yaml that spec takes, or
// in mistakes that say where they are.
func whole(t *testing.T, files map[string]string) {
	t.Helper()
	t.Helper()
	result, err := Convert(folder(files))
	if err == nil {
		for _, u := range result.Unmapped {
			if u.Line < 1 || u.File == "" || u.Reason == "" {
				t.Fatalf("got %+v", u)
			}
		}
		resolves(t, result.YAML)
		return
	}
	errs, ok := errors.AsType[spec.Errors](err)
	if !ok || len(errs) == 0 {
		t.Fatalf("got %T, want spec.Errors", err)
	}
	for _, e := range errs {
		if _, there := files[e.File]; e.Line < 1 || e.Column < 1 || !there {
			t.Fatalf("got a mistake nowhere: %v", e)
		}
	}
}

func FuzzProcfile(f *testing.F) {
	seeds(f, "Procfile", "Procfile.*")
	f.Fuzz(func(t *testing.T, data string) {
		whole(t, map[string]string{"Procfile": data, "Procfile.web": data})
	})
}

func FuzzAppJSON(f *testing.F) {
	seeds(f, "app.json")
	f.Fuzz(func(t *testing.T, data string) {
		whole(t, map[string]string{"Procfile": "web: x\ncache: bin/rails cache:clear\n", "app.json": data})
	})
}

func FuzzPorter(f *testing.F) {
	seeds(f, "porter.yaml")
	f.Add("a: &a [*a]\nb: {<<: *a}\n")
	f.Fuzz(func(t *testing.T, data string) {
		whole(t, map[string]string{"porter.yaml": data})
	})
}

func FuzzServerless(f *testing.F) {
	seeds(f, "serverless.y*ml")
	f.Fuzz(func(t *testing.T, data string) {
		whole(t, map[string]string{"serverless.yml": data})
	})
}

// FuzzValues checks that a value arrives as it was, whatever is in it.
func FuzzValues(f *testing.F) {
	for _, value := range []string{"", "true", "1.10", " a ", "a\n", "\n a\n\n", "a: b # c", "- a", "*a", "\u2028\u0085\ufeff", "\t", "\r\n", "~", "🚀", "'\"\\", "=", "<<", "a\x01"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if !utf8.ValidString(value) {
			return
		}
		text, err := json.Marshal(map[string]any{"env": map[string]any{"X": map[string]string{"value": value, "description": value}}})
		if err != nil {
			t.Fatal(err)
		}
		result, err := Convert(folder(map[string]string{"Procfile": "web: x\n", "app.json": string(text)}))
		if err != nil {
			return
		}
		files, err := spec.ParseAll("inhaul.yaml", result.YAML)
		if err != nil {
			t.Fatal(err)
		}
		if got, there := files[0].Env["X"]; got != value && (there || len(result.Unmapped) == 0) {
			t.Errorf("got %q, want %q", got, value)
		}
	})
}
