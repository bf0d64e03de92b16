package convert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"

	"github.com/inhaul/inhaul/spec"
)

// resolves checks that spec takes an inhaul.yaml, for all its environments and
// for a preview.
func resolves(t *testing.T, text []byte) {
	t.Helper()
	files, err := spec.ParseAll("inhaul.yaml", text)
	if err != nil {
		t.Fatalf("the result is refused: %v\n%s", err, text)
	}
	for _, file := range files {
		for _, environment := range append(file.EnvironmentNames(), "pr-1") {
			if _, err := file.Resolve(environment); err != nil {
				t.Errorf("%s: %v", environment, err)
			}
		}
	}
}

// TestNothingIsDropped proves that every value of every manifest is in the
// result or named. That it is in the result is not taken on trust: another value
// there has to change the result.
func TestNothingIsDropped(t *testing.T) {
	t.Parallel()
	for _, in := range stories(t) {
		t.Run(filepath.Base(filepath.Dir(in)), func(t *testing.T) {
			t.Parallel()
			complete(t, os.DirFS(in))
		})
	}
}

func TestNothingOfRealManifestsIsDropped(t *testing.T) {
	t.Parallel()
	for _, folder := range cases(t) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			complete(t, os.DirFS(folder))
		})
	}
}

func complete(t *testing.T, files fs.FS) {
	t.Helper()
	c := newConversion(files, DefaultName)
	result := c.run()
	if len(c.errs) > 0 {
		return // a story of a mistake
	}
	named := map[string]bool{}
	for _, u := range result.Unmapped {
		named[u.File+" "+u.Key] = true
	}
	for _, root := range c.roots {
		read := map[string]*node{}
		leaves(t, root, unused, named, read)
		for path, change := range changes(t, files, root.file) {
			n := read[path]
			if n == nil {
				t.Errorf("%s: %s was not read at all", root.file, path)
				continue
			}
			if n.use == left || named[n.file+" "+n.path] || indifferent(n) {
				continue
			}
			if after, err := Convert(change); err == nil && bytes.Equal(after.YAML, result.YAML) && slices.Equal(said(after), said(result)) {
				t.Errorf("%s: %s counts as mapped, but another value there changes nothing", root.file, path)
			}
		}
	}
}

// leaves collects the values below n by their paths, and checks that each was
// taken, or left and named. Above is what became of what is above n.
func leaves(t *testing.T, n *node, above use, named map[string]bool, read map[string]*node) {
	t.Helper()
	if n.use == left && !named[n.file+" "+n.path] {
		t.Errorf("%s: %s was left and is not named", n.file, n.path)
	}
	if n.use == unused || above == left {
		n.use = above
	}
	if n.kind == scalar {
		read[n.path] = n
		if n.use == unused {
			t.Errorf("%s: %s is neither in the result nor named", n.file, n.path)
		}
	}
	for _, child := range n.children {
		leaves(t, child, n.use, named, read)
	}
}

// indifferent reports whether a value is rightly in the result without a trace.
func indifferent(n *node) bool {
	for _, suffix := range []string{
		".required", // beside a value or a generator: it is there
		".port",     // of pathRouting: the service's own
		".scripts.test",
	} {
		if strings.HasSuffix(n.path, suffix) && (suffix != ".port" || strings.Contains(n.path, "pathRouting")) {
			return true
		}
	}
	return false
}

// said returns what is unmapped, without the lines.
func said(r Result) []string {
	var all []string
	for _, u := range r.Unmapped {
		all = append(all, u.File+" "+u.Key+" "+u.Reason)
	}
	slices.Sort(all)
	return all
}

// changes returns, for every value of a manifest by its path, the files with
// another value there. It reads the manifest by its own means.
func changes(t *testing.T, files fs.FS, name string) map[string]fs.FS {
	t.Helper()
	data, err := fs.ReadFile(files, name)
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	all := map[string]fs.FS{}
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		switch {
		case n.Kind == yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Tag == "!!merge" || n.Content[i+1].Kind == yaml.AliasNode {
					continue // read where they lead
				}
				walk(n.Content[i+1], join(path, n.Content[i].Value))
			}
		case n.Kind == yaml.SequenceNode:
			for i, item := range n.Content {
				walk(item, path+"["+strconv.Itoa(i)+"]")
			}
		case n.Kind == yaml.ScalarNode && n.Tag != "!!null" && n.Anchor == "":
			before := *n
			n.Value = other(n)
			all[path] = with(t, files, name, &document)
			*n = before
		}
	}
	walk(document.Content[0], "")
	return all
}

// other returns another value of the same type.
func other(n *yaml.Node) string {
	switch n.Tag {
	case "!!int":
		number, _ := strconv.Atoi(n.Value)
		return strconv.Itoa(number + 1)
	case "!!float":
		return "7.25"
	case "!!bool":
		return strconv.FormatBool(n.Value != "true")
	}
	return n.Value + "x"
}

// with returns the files, one of them written anew.
func with(t *testing.T, files fs.FS, name string, document *yaml.Node) fs.FS {
	t.Helper()
	var data []byte
	if strings.HasSuffix(name, ".json") {
		data = []byte(asJSON(document.Content[0]))
	} else {
		var err error
		if data, err = yaml.Marshal(document); err != nil {
			t.Fatal(err)
		}
	}
	all := fstest.MapFS{}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		all[path] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all[name] = &fstest.MapFile{Data: data}
	return all
}

func asJSON(n *yaml.Node) string {
	var parts []string
	switch {
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, asJSON(n.Content[i])+": "+asJSON(n.Content[i+1]))
		}
		return "{" + strings.Join(parts, ",\n") + "}"
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			parts = append(parts, asJSON(item))
		}
		return "[" + strings.Join(parts, ",\n") + "]"
	case n.Tag != "!!str":
		return n.Value
	}
	quoted, err := json.Marshal(n.Value)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(quoted)
}

// TestNoProcfileLineIsDropped proves the same of a Procfile: every line that is
// neither empty nor a comment is a service or named.
func TestNoProcfileLineIsDropped(t *testing.T) {
	t.Parallel()
	for _, in := range stories(t) {
		procfileLines(t, in)
	}
}

func TestNoLineOfARealProcfileIsDropped(t *testing.T) {
	t.Parallel()
	for _, folder := range cases(t) {
		procfileLines(t, folder)
	}
}

func procfileLines(t *testing.T, in string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(in, "Procfile"))
	if err != nil {
		return // it has none
	}
	result, err := Convert(os.DirFS(in))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(result.From, "Procfile") {
		return
	}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		_, command, _ := strings.Cut(line, ":")
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") {
			continue
		}
		isNamed := slices.ContainsFunc(result.Unmapped, func(u Unmapped) bool { return u.File == "Procfile" && u.Line == i+1 })
		if !isNamed && !strings.Contains(string(result.YAML), strings.TrimSpace(command)) {
			t.Errorf("%s: line %d is neither in the result nor named", in, i+1)
		}
	}
}
