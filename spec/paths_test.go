package spec

import (
	"strings"
	"testing"
	"time"
)

func TestAffected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, paths, changed string
		want                 bool
	}{
		{"takes every change without patterns", "", "README.md", true},
		{"takes no change without patterns", "", "", true},
		{"takes no change for none", "[services/**]", "", false},
		{"finds a file at any depth below", "[services/shop/**]", "services/shop/a/b/c.go", true},
		{"leaves the neighbours alone", "[services/shop/**]", "services/shopping/a.go", false},
		{"needs one file of many", "[services/shop/**]", "README.md docs/a.md services/shop/a.go", true},
		{"takes a folder for all in it", "[services/shop]", "services/shop/a/b.go", true},
		{"takes a folder with a slash for all in it", "[lib/]", "lib/a.go", true},
		{"takes a name with a slash for a folder alone", "[lib/]", "lib", false},
		{"finds a folder at any depth by its name", "[lib/]", "services/lib/a.go", true},
		{"finds a name at any depth", "[go.mod]", "services/shop/go.mod", true},
		{"finds a name at the root alone", "[/go.mod]", "services/shop/go.mod", false},
		{"reads a slash inside as from the root", "[shop/main.go]", "services/shop/main.go", false},
		{"finds any depth in front", "[\"**/shop/main.go\"]", "services/eu/shop/main.go", true},
		{"finds no depth in front", "[\"**/shop/main.go\"]", "shop/main.go", true},
		{"finds any depth in between", "[\"services/**/main.go\"]", "services/eu/shop/main.go", true},
		{"finds no depth in between", "[\"services/**/main.go\"]", "services/main.go", true},
		{"keeps a star within a folder", "[\"services/*/main.go\"]", "services/eu/shop/main.go", false},
		{"finds a star", "[\"services/*/ma*.go\"]", "services/shop/main.go", true},
		{"finds an ending at any depth", "[\"*.go\"]", "a/b/c.go", true},
		{"takes back", "[\"services/**\", \"!**/*.md\"]", "services/shop/README.md", false},
		{"lets the last match win", "[\"services/**\", \"!**/*.md\", \"services/shop/*.md\"]", "services/shop/README.md", true},
		{"lets an earlier match lose", "[\"!**/*.md\", \"services/**\"]", "services/shop/README.md", true},
		{"takes back from everything", "[\"!docs/**\"]", "main.go", true},
		{"takes back from everything that", "[\"!docs/**\"]", "docs/a.md", false},
		{"counts its own file", "[services/**]", "deploy/inhaul.yaml", true},
		{"counts no other file of that name", "[services/**]", "inhaul.yaml", false},
		{"reads brackets as they stand", "[\"app/[id]/**\"]", "app/[id]/page.tsx", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := onlyWeb
			if c.paths != "" {
				text += "paths: " + c.paths + "\n"
			}
			f, err := Parse("./deploy/inhaul.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Affected(strings.Fields(c.changed)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestMatchesPathIsNotExponential(t *testing.T) {
	t.Parallel()
	start := time.Now()
	if matchesPath(strings.Repeat("**/a/", 700)+"b", strings.Repeat("a/", 2000)+"c") {
		t.Error("got a match, want none")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("got %v, want well below 5 s", took)
	}
}
