// Package inhaul_test proves the walls between the rooms (docs/architecture.md)
// over what the go command says of the whole module.
package inhaul_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/inhaul/inhaul"

// maxFileLines is where a file has become two.
const maxFileLines = 400

// listed is a package as go list tells it.
type listed struct {
	ImportPath   string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
	Error        *struct{ Err string }
	DepsErrors   []struct{ Err string }
}

// packages are all packages of the module, and all that they are built from. A
// package that does not build has no walls to prove: that is a failure.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	var complaint bytes.Buffer
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports,Deps,TestImports,XTestImports,Error,DepsErrors", "./...")
	list.Stderr = &complaint
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	all := map[string]listed{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Error != nil {
			t.Fatalf("%s: %s", p.ImportPath, p.Error.Err)
		}
		if len(p.DepsErrors) > 0 {
			t.Fatalf("%s: %s", p.ImportPath, p.DepsErrors[0].Err)
		}
		all[p.ImportPath] = p
	}
	return all
}

// ours are the paths of the module's own packages, without the module.
func ours(all map[string]listed) []string {
	var rooms []string
	for importPath := range all {
		if room, own := strings.CutPrefix(importPath, module+"/"); own {
			rooms = append(rooms, room)
		}
	}
	slices.Sort(rooms)
	return rooms
}

// in reports whether importPath is one of the trees or inside one of them. A
// tree that ends with a star stands for every path that begins so.
func in(importPath string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool {
		if start, open := strings.CutSuffix(tree, "*"); open {
			return strings.HasPrefix(importPath, start)
		}
		return importPath == tree || strings.HasPrefix(importPath, tree+"/")
	})
}

func own(rooms ...string) []string {
	trees := make([]string, len(rooms))
	for i, room := range rooms {
		trees[i] = module + "/" + room
	}
	return trees
}

// kubernetes is everything of Kubernetes' own projects.
func kubernetes() []string { return []string{"k8s.io", "sigs.k8s.io"} }

// buildTools is what builds images. The registry's credentials are read from
// Docker's configuration, which docker/cli does: that one package is not meant.
func buildTools() []string {
	return []string{"github.com/moby", "github.com/docker/docker", "github.com/docker/buildx", "github.com/docker/cli/cli/command", "github.com/containerd", "github.com/containers", "github.com/tonistiigi"}
}

// network is what opens connections.
func network() []string {
	return []string{"net/http", "google.golang.org/grpc", "golang.org/x/net/http2", "github.com/hashicorp/go-retryablehttp", "github.com/google/go-containerregistry"}
}

// TestRoomsLinkNothingBehindTheirWalls is about all that a room is built from,
// however far away.
func TestRoomsLinkNothingBehindTheirWalls(t *testing.T) {
	t.Parallel()
	all := packages(t)
	for _, wall := range []struct {
		room, why string
		banned    []string
		but       []string
	}{
		{"cmd/inhaul-action", "the Action links nothing of Kubernetes", kubernetes(), []string{"sigs.k8s.io/yaml"}},
		{"cmd/inhaul-action", "the Action needs no part of the agent", own("agent", "api"), nil},
		{"cmd/inhaul-agent", "the agent does no workflow I/O", []string{"github.com/sethvargo/go-githubactions"}, nil},
		{"cmd/inhaul-agent", "the agent needs no part of the Action", own("action"), nil},
		{"cmd/inhaul-agent", "the agent links no build tooling", buildTools(), nil},
		{"cmd/inhaul", "the developer's program links no build tooling", buildTools(), nil},
		{"cmd/inhaul", "the developer's program knows what an app is, and of a cluster only asks, but for who the agent is on GitHub (docs/adr/0022) and the namespace of a probe, which it deletes: it is the agent that changes something", own("intent", "agent", "action", "internal", "api"), own("internal/github", "internal/oci")},
		{"cli", "the commands know no Kubernetes", kubernetes(), nil},
		{"cli", "the commands link no network client", network(), nil},
		{"cli", "the commands know spec and receipt alone", own("intent", "agent", "action", "internal", "api", "cmd"), nil},
		{"spec", "spec is pure", network(), nil},
		{"spec", "spec is the innermost room", own("envelope", "intent", "receipt", "agent", "action", "cli", "internal", "api", "cmd", "spec/convert"), nil},
		{"spec/convert", "spec/convert is pure", network(), nil},
		{"spec/convert", "spec/convert knows spec alone", own("intent", "agent", "action", "cli", "internal", "api", "cmd"), nil},
		{"envelope", "envelope is pure", network(), nil},
		{"envelope", "envelope knows nothing of what it holds", own("spec", "intent", "receipt", "agent", "action", "cli", "internal", "api", "cmd"), nil},
		{"intent", "intent is pure", network(), nil},
		{"intent", "intent knows spec and envelope alone", own("receipt", "agent", "action", "cli", "internal", "api", "cmd"), nil},
		{"receipt", "receipt is pure", network(), nil},
		{"receipt", "receipt knows envelope alone", own("spec", "intent", "agent", "action", "cli", "internal", "api", "cmd"), nil},
		{"agent", "the agent's rules link no network client", network(), nil},
		{"agent", "the agent's rules know no Kubernetes type", kubernetes(), nil},
		{"agent", "the agent's rules know no adapter", own("agent/cluster", "agent/render", "internal", "api", "action", "cmd"), nil},
		{"internal/metrics", "who counts opens no connection", network(), nil},
		{"internal/metrics", "who counts knows no adapter", append(kubernetes(), own("agent/cluster", "agent/render", "internal/github", "internal/oci", "api", "action", "cmd")...), nil},
		{"cmd/inhaul-agent", "a client library for metrics costs 3 MiB (docs/adr/0014)", []string{"github.com/prometheus"}, nil},
		{"agent/render", "rendering talks to nobody", []string{"k8s.io/client-go"}, nil},
		{"api/v1alpha1", "the types stand alone", append(own("agent", "intent", "spec", "action", "internal", "cmd"), "k8s.io/client-go"), nil},
		{"action", "the CI side knows no Kubernetes", kubernetes(), nil},
	} {
		p, found := all[module+"/"+wall.room]
		if !found {
			t.Errorf("%s does not exist, and it has walls", wall.room)
			continue
		}
		for _, dependency := range p.Deps {
			if in(dependency, wall.banned...) && !in(dependency, wall.but...) {
				t.Errorf("%s: %s, and it links %s%s", wall.room, wall.why, dependency, chain(all, p.ImportPath, dependency))
			}
		}
	}
}

// chain tells one way of imports from one package to another.
func chain(all map[string]listed, from, to string) string {
	cameFrom := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range all[queue[0]].Imports {
			if _, known := cameFrom[next]; known {
				continue
			}
			cameFrom[next] = queue[0]
			queue = append(queue, next)
		}
	}
	way := ""
	for at := cameFrom[to]; at != "" && at != from; at = cameFrom[at] {
		way = " < " + at + way
	}
	return way
}

// TestOnlyTheirRoomsImport is about direct imports: who may know of a library at
// all. Tests may, where said so.
func TestOnlyTheirRoomsImport(t *testing.T) {
	t.Parallel()
	all := packages(t)
	for _, wall := range []struct {
		what  string
		trees []string
		but   []string // of trees
		rooms []string
		tests []string // rooms whose tests alone may
	}{
		{"client-go", []string{"k8s.io/client-go"}, nil, []string{"agent/cluster", "cmd/inhaul-agent", "cmd/inhaul"}, []string{"e2e", "bench"}},
		{"Kubernetes", kubernetes(), []string{"k8s.io/client-go"}, []string{"agent/render", "agent/cluster", "api"}, []string{"e2e", "bench"}},
		{"the registry client", []string{"github.com/google/go-containerregistry"}, nil, []string{"internal/oci"}, []string{"e2e", "action", "cmd"}},
		{"the command line", []string{"github.com/alecthomas/kong"}, nil, []string{"cli"}, nil},
		{"workflow commands", []string{"github.com/sethvargo/go-githubactions"}, nil, []string{"action", "cmd/inhaul-action"}, []string{"e2e"}},
		{"retrying HTTP", []string{"github.com/hashicorp/go-retryablehttp"}, nil, []string{"internal/github"}, []string{"e2e"}},
		{"YAML", []string{"go.yaml.in/yaml*", "sigs.k8s.io/yaml"}, nil, []string{"spec", "agent/cluster", "agent/render"}, []string{"e2e", "action", "agent", "api"}},
		{"DSSE and canonical JSON", []string{"github.com/secure-systems-lab", "github.com/gowebpki/jcs"}, nil, []string{"envelope"}, nil},
	} {
		for _, room := range ours(all) {
			p := all[module+"/"+room]
			imports := p.Imports
			if !in(room, wall.tests...) {
				imports = slices.Concat(imports, p.TestImports, p.XTestImports)
			}
			for _, imported := range imports {
				if in(imported, wall.trees...) && !in(imported, wall.but...) && !in(room, wall.rooms...) {
					t.Errorf("%s imports %s; %s is the business of %s", room, imported, wall.what, strings.Join(wall.rooms, ", "))
				}
			}
		}
	}
}

// TestRoomsHaveNames refuses the names under which anything can be put.
func TestRoomsHaveNames(t *testing.T) {
	t.Parallel()
	for _, room := range ours(packages(t)) {
		for part := range strings.SplitSeq(room, "/") {
			switch part {
			case "pkg", "util", "utils", "common", "helper", "helpers", "model", "models", "misc", "base", "shared", "lib":
				t.Errorf("%s: %q says nothing about what is in there", room, part)
			}
		}
	}
}

// TestFilesStayReadable holds for every module in the repository.
func TestFilesStayReadable(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && file != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "node_modules") {
			return filepath.SkipDir
		}
		if entry.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		lines, generated, err := count(file)
		if err != nil {
			return err
		}
		if lines > maxFileLines && !generated {
			t.Errorf("%s has %d lines, want at most %d: find the second idea in it", file, lines, maxFileLines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// count returns how many lines a file has, and whether it says that it is
// generated: https://go.dev/s/generatedcode.
func count(file string) (lines int, generated bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = f.Close() }() // only read
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		text := scanner.Text()
		generated = generated || strings.HasPrefix(text, "// Code generated ") && strings.HasSuffix(text, " DO NOT EDIT.")
		lines++
	}
	return lines, generated, scanner.Err()
}
