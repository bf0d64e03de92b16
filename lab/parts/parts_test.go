package parts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestKeyChangesWithWhatTheBinaryDependsOn(t *testing.T) {
	t.Parallel()
	source := func(changes map[string]string) fstest.MapFS {
		m := fstest.MapFS{
			"main.go": {Data: []byte("package main")}, "go.mod": {Data: []byte("module x")},
			"go.sum": {Data: []byte("sum")}, "main_test.go": {Data: []byte("package main")}, "README.md": {Data: []byte("x")},
		}
		for name, content := range changes {
			m[name] = &fstest.MapFile{Data: []byte(content)}
		}
		return m
	}
	const goVersion = "go version go1.26.0 linux/amd64"
	base, err := Key(source(nil), goVersion)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		changes map[string]string
		version string
		same    bool
	}{
		"same sources, same Go":        {nil, goVersion, true},
		"a test":                       {map[string]string{"main_test.go": "package other"}, goVersion, true},
		"a document":                   {map[string]string{"README.md": "y"}, goVersion, true},
		"a source":                     {map[string]string{"main.go": "package main //"}, goVersion, false},
		"a new source":                 {map[string]string{"z.go": ""}, goVersion, false},
		"a dependency":                 {map[string]string{"go.mod": "module y"}, goVersion, false},
		"a dependency's sum":           {map[string]string{"go.sum": "other"}, goVersion, false},
		"another Go":                   {nil, "go version go1.27.0 linux/amd64", false},
		"text moved between two files": {map[string]string{"go.mod": "module xs", "go.sum": "um"}, goVersion, false},
	}
	for name, c := range cases {
		got, err := Key(source(c.changes), c.version)
		if err != nil {
			t.Fatal(err)
		}
		if (got == base) != c.same {
			t.Errorf("%s: got key %s, base %s, want same %v", name, got, base, c.same)
		}
	}
}

func TestVersionStampsComeFromTheModule(t *testing.T) {
	t.Parallel()
	got, err := ldflags("v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"-s -w",
		"-X k8s.io/component-base/version.gitVersion=v1.37.2",
		"-X k8s.io/component-base/version.gitMajor=1",
		"-X k8s.io/client-go/pkg/version.gitMinor=37",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want it to contain %q", got, want)
		}
	}
	if got, err := ldflags(""); err != nil || got != "-s -w" {
		t.Errorf("without a module: got %q, %v", got, err)
	}
	if _, err := ldflags("(devel)"); err == nil {
		t.Error("got no error for a version without numbers")
	}
}

func TestFindSourceLooksUpwards(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	parts := filepath.Join(root, "lab", "parts")
	for _, dir := range []string{filepath.Join(parts, "k8sbox"), filepath.Join(root, "bin")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(parts, "k8sbox", "go.mod"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{root, filepath.Join(root, "bin"), filepath.Join(root, "lab"), filepath.Join(parts, "k8sbox")} {
		if got, err := FindSource("", from); err != nil || got != parts {
			t.Errorf("from %s: got %q, %v, want %q", from, got, err, parts)
		}
	}
	if got, err := FindSource(filepath.Join(root, "lab")); err != nil || got != parts {
		t.Errorf("explicit: got %q, %v, want %q", got, err, parts)
	}
	if _, err := FindSource("", t.TempDir()); !errors.Is(err, ErrNoSource) {
		t.Errorf("elsewhere: got %v, want ErrNoSource", err)
	}
}

func TestAnUnfinishedEntryIsNotCached(t *testing.T) {
	t.Parallel()
	p, err := Find("buildx")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, name := range p.Binaries {
		if p.Cached(dir) {
			t.Errorf("with %d of %d binaries: got cached", i, len(p.Binaries))
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if !p.Cached(dir) {
		t.Error("with all binaries: got not cached")
	}
}

func TestCompilerOutputIsCountedAndKept(t *testing.T) {
	t.Parallel()
	var c compiled
	c.read(strings.NewReader("k8s.io/api/core/v1\nruntime\n# example.com/x\n./x.go:3:1: undefined: y\n"))
	if got := c.packages(); got != 2 {
		t.Errorf("got %d packages, want 2", got)
	}
	if got := c.tail(); !strings.Contains(got, "undefined: y") {
		t.Errorf("got tail %q, want the error in it", got)
	}
}
