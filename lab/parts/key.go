package parts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// keyBytes of the digest name a cache entry; 8 are plenty for a handful of entries.
const keyBytes = 8

// Key is the content key of a part: a digest over its go.mod, go.sum and *.go
// files except tests, by name and content, and the output of go version.
func Key(source fs.FS, goVersion string) (string, error) {
	names, err := fs.Glob(source, "*.go")
	if err != nil {
		return "", err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, "_test.go") })
	names = append(names, "go.mod", "go.sum")
	slices.Sort(names)
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", goVersion)
	for _, name := range names {
		content, err := fs.ReadFile(source, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a part may be a package of the lab's own module
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", name, len(content))
		h.Write(content)
	}
	return hex.EncodeToString(h.Sum(nil)[:keyBytes]), nil
}

// ldflags returns the linker flags: no symbols, and for Kubernetes the version
// stamps, without which its clients cannot parse the server's version.
func ldflags(version string) (string, error) {
	flags := []string{"-s", "-w"}
	if version == "" {
		return strings.Join(flags, " "), nil
	}
	numbers := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(numbers) < 3 {
		return "", fmt.Errorf("reading a module version: got %q, want vMAJOR.MINOR.PATCH", version)
	}
	stamps := [][2]string{
		{"gitVersion", version},
		{"gitMajor", numbers[0]},
		{"gitMinor", numbers[1]},
		{"gitTreeState", "clean"},
		{"gitCommit", "module"},
		{"buildDate", "1970-01-01T00:00:00Z"},
	}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, s := range stamps {
			flags = append(flags, fmt.Sprintf("-X %s.%s=%s", pkg, s[0], s[1]))
		}
	}
	return strings.Join(flags, " "), nil
}
