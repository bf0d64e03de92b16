package render

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestStories renders testdata/STORY/release.yaml, on the platform of
// platform.yaml if there is one, to want.yaml, its predeploy to
// want-predeploy.yaml, and its databases to want-databases.yaml.
func TestStories(t *testing.T) {
	t.Parallel()
	for _, s := range stories(t) {
		t.Run(filepath.Base(s.folder), func(t *testing.T) {
			t.Parallel()
			s.compare(t, "want.yaml", s.objects(t))
			s.compare(t, "want-predeploy.yaml", s.predeploy(t))
			s.compare(t, "want-databases.yaml", s.databases(t))
		})
	}
}

// story is one folder of testdata.
type story struct {
	folder   string
	release  agent.Release
	platform Platform
}

func stories(t *testing.T) []story {
	t.Helper()
	paths, err := filepath.Glob("testdata/*/release.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("stories: got %v, %v", paths, err)
	}
	var all []story
	for _, path := range paths {
		all = append(all, tell(t, filepath.Base(filepath.Dir(path))))
	}
	return all
}

// tell returns the story of that name.
func tell(t *testing.T, name string) story {
	t.Helper()
	s := story{folder: filepath.Join("testdata", name)}
	read(t, filepath.Join(s.folder, "release.yaml"), &s.release)
	if path := filepath.Join(s.folder, "platform.yaml"); exists(path) {
		read(t, path, &s.platform)
	}
	return s
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(document, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func (s story) objects(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	objects, err := Objects(s.release, s.platform)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func (s story) predeploy(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	objects, err := Task(s.release, agent.TaskPredeploy, s.platform)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func (s story) databases(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	objects, err := Databases(s.release, s.platform)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// compare compares objects with a golden file; none belong to no file.
func (s story) compare(t *testing.T, file string, objects []*unstructured.Unstructured) {
	t.Helper()
	var got bytes.Buffer
	for _, object := range objects {
		document, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString("---\n")
		got.Write(document)
	}
	golden := filepath.Join(s.folder, file)
	if *update && len(objects) > 0 {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil && (len(objects) > 0 || !errors.Is(err, fs.ErrNotExist)) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s changed (-want +got); refresh with -update:\n%s", file, diff)
	}
}

func TestTheSameReleaseGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, s := range stories(t) {
		if diff := cmp.Diff(s.objects(t), s.objects(t)); diff != "" {
			t.Errorf("%s: a second time gives something else:\n%s", s.folder, diff)
		}
	}
}

func TestTemplateChangesWithItsContentAlone(t *testing.T) {
	t.Parallel()
	template := func(change func(*agent.Release)) any {
		s := tell(t, "web_and_worker")
		change(&s.release)
		for _, object := range s.objects(t) {
			if object.GetKind() == "Deployment" {
				template, _, _ := unstructured.NestedMap(object.Object, "spec", "template")
				return template
			}
		}
		t.Fatal("no Deployment")
		return nil
	}
	before := template(func(*agent.Release) {})
	same := map[string]func(*agent.Release){
		"number":   func(r *agent.Release) { r.Number++ },
		"commit":   func(r *agent.Release) { r.Source.Commit = strings.Repeat("a", 40) },
		"intent":   func(r *agent.Release) { r.Intent = "sha256:" + strings.Repeat("b", 64) },
		"replicas": func(r *agent.Release) { r.App.Services[0].Replicas = 9 },
		"scale":    func(r *agent.Release) { r.App.Services[0].Scale = spec.Scale{Min: 2, Max: 9} },
		"domains":  func(r *agent.Release) { r.App.Services[0].Domains = []string{"shop.example.com"} },
	}
	for name, change := range same {
		if diff := cmp.Diff(before, template(change)); diff != "" {
			t.Errorf("a change of %s changes the template:\n%s", name, diff)
		}
	}
	other := map[string]func(*agent.Release){
		"image": func(r *agent.Release) { r.Image = "x@sha256:" + strings.Repeat("c", 64) },
		"env":   func(r *agent.Release) { r.App.Services[0].Env["RAILS_ENV"] = "staging" },
		"run":   func(r *agent.Release) { r.App.Services[0].Run = spec.Command{Exec: []string{"puma"}} },
	}
	for name, change := range other {
		if cmp.Equal(before, template(change)) {
			t.Errorf("a change of %s leaves the template as it was", name)
		}
	}
}
