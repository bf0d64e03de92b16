// Package parts builds the lab's programs from Go modules and keeps them in
// the user's cache by content: the same sources and the same Go give the same
// file, so only the first build on a machine costs minutes.
package parts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Part is one module under lab/parts, or the package sandbox of the lab itself.
type Part struct {
	Name     string
	Binaries []string // file names in the cache
	Packages []string // what go build is given
	// Stamp names the module whose version the binary must report; see ldflags.
	Stamp string
	// Typical is how long a cold build took on two idle cores.
	Typical time.Duration
}

// Parts are all parts, in an order in which the later reuse packages of the earlier.
func Parts() []Part {
	return []Part{
		{Name: "sandbox", Binaries: []string{"sandbox"}, Packages: []string{"."}, Typical: 10 * time.Second},
		{Name: "k8sbox", Binaries: []string{"k8sbox"}, Packages: []string{"."}, Stamp: "k8s.io/kubernetes", Typical: 13 * time.Minute},
		{Name: "kwok", Binaries: []string{"kwok"}, Packages: []string{"sigs.k8s.io/kwok/cmd/kwok"}, Typical: 75 * time.Second},
		{
			Name: "kuberouter", Binaries: []string{"kube-router"}, Typical: 2 * time.Minute,
			Packages: []string{"github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"},
		},
		{
			Name: "builder", Binaries: []string{"buildkitd", "buildx"}, Typical: 6 * time.Minute,
			Packages: []string{"github.com/moby/buildkit/cmd/buildkitd", "github.com/docker/buildx/cmd/buildx"},
		},
		{
			Name: "act", Binaries: []string{"act", "actionlint"}, Typical: 2 * time.Minute,
			Packages: []string{"github.com/nektos/act", "github.com/rhysd/actionlint/cmd/actionlint"},
		},
		{Name: "goreleaser", Binaries: []string{"goreleaser"}, Packages: []string{"github.com/goreleaser/goreleaser/v2"}, Typical: 6 * time.Minute},
	}
}

// Find returns the part of that name, or the part that has a binary of that name.
func Find(name string) (Part, error) {
	var names []string
	for _, p := range Parts() {
		if p.Name == name || slices.Contains(p.Binaries, name) {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Part{}, fmt.Errorf("unknown part %q, want one of %s", name, strings.Join(names, ", "))
}

// Store finds sources and keeps results.
type Store struct {
	Source string // the directory lab/parts
	Cache  string // usually ~/.cache/inhaul-lab
}

// ErrNoSource means that the program was started far from its sources.
var ErrNoSource = errors.New("the sources of the lab's parts (lab/parts) were not found; start lab inside the repository or set INHAUL_LAB_SOURCE to its lab directory")

// FindSource looks for lab/parts: in the directory explicit, if it is given,
// else upwards from each of the starting points.
func FindSource(explicit string, from ...string) (string, error) {
	if explicit != "" {
		if dir := filepath.Join(explicit, "parts"); isSource(dir) {
			return dir, nil
		}
		return "", fmt.Errorf("%w (got %q)", ErrNoSource, explicit)
	}
	for _, dir := range from {
		for dir != "" {
			for _, candidate := range []string{filepath.Join(dir, "lab", "parts"), filepath.Join(dir, "parts")} {
				if isSource(candidate) {
					return candidate, nil
				}
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return "", ErrNoSource
}

func isSource(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "k8sbox", "go.mod"))
	return err == nil
}

// Dir returns where the part's binaries are or would be.
func (s Store) Dir(p Part, goVersion string) (string, error) {
	key, err := Key(os.DirFS(filepath.Join(s.Source, p.Name)), goVersion)
	if err != nil {
		return "", fmt.Errorf("hashing the sources of %s: %w", p.Name, err)
	}
	return filepath.Join(s.Cache, p.Name+"-"+key), nil
}

// Cached reports whether every binary of the part is in dir.
func (p Part) Cached(dir string) bool {
	for _, b := range p.Binaries {
		info, err := os.Stat(filepath.Join(dir, b))
		if err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}
