package render

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestObjects(t *testing.T) {
	t.Parallel()
	stories, err := filepath.Glob("testdata/*/release.yaml")
	if err != nil || len(stories) == 0 {
		t.Fatalf("stories: got %v, %v", stories, err)
	}
	for _, path := range stories {
		story := filepath.Dir(path)
		t.Run(filepath.Base(story), func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			for _, object := range render(t, read(t, path)) {
				document, err := yaml.Marshal(object.Object)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(document)
			}
			golden := filepath.Join(story, "want.yaml")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("objects changed (-want +got); refresh with -update:\n%s", diff)
			}
		})
	}
}

func TestObjectsRefuses(t *testing.T) {
	t.Parallel()
	worker := func(name, cpu, memory string) spec.Service {
		return spec.Service{Name: name, Type: spec.Worker, Replicas: 1, CPU: cpu, Memory: memory}
	}
	tests := map[string]struct {
		services []spec.Service
		want     string
	}{
		"two services of one name": {
			[]spec.Service{worker("mail_sender", "1", "1Gi"), worker("mail-sender", "1", "1Gi")},
			`services "mail_sender" and "mail-sender" would both be named "shop-mail-sender": rename one`,
		},
		"a cpu that is no quantity":    {[]spec.Service{worker("a", "fast", "1Gi")}, `service "a": reading cpu "fast"`},
		"a memory that is no quantity": {[]spec.Service{worker("a", "1", "1 Gig")}, `service "a": reading memory "1 Gig"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Objects(agent.Release{Line: agent.Line{App: "shop"}, App: spec.App{Services: test.services}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestEveryObjectIsLabelledAndAllowed(t *testing.T) {
	t.Parallel()
	release := read(t, "testdata/many_replicas/release.yaml")
	release.App.Services[0].Env = map[string]string{"A": "b"}
	for _, object := range render(t, release) {
		if !slices.Contains(Allowed(), object.GroupVersionKind()) {
			t.Errorf("%s is not an allowed kind", object.GroupVersionKind())
		}
		if got := object.GetNamespace(); got != release.Namespace {
			t.Errorf("%s: got namespace %q, want %q", object.GetName(), got, release.Namespace)
		}
		for _, key := range []string{LabelManagedBy, LabelPartOf, LabelApp, LabelEnvironment} {
			if object.GetLabels()[key] == "" {
				t.Errorf("%s %s lacks the label %s", object.GetKind(), object.GetName(), key)
			}
		}
	}
}

func TestTemplateChangesWithItsContentAlone(t *testing.T) {
	t.Parallel()
	template := func(change func(*agent.Release)) any {
		release := read(t, "testdata/web_and_worker/release.yaml")
		change(&release)
		for _, object := range render(t, release) {
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

func TestName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long", 20)
	tests := []struct{ app, service, want string }{
		{"shop", "web", "shop-web"},
		{"shop", "Mail_Sender", "shop-mail-sender"},
		{"1shop", "web", "x-1shop-web"},
		{"", "", "x"},
		{"ümlaut", "web", "mlaut-web"},
	}
	for _, test := range tests {
		got := Name(test.app, test.service)
		if got != test.want {
			t.Errorf("Name(%q, %q): got %q, want %q", test.app, test.service, got, test.want)
		}
	}
	if got := Name("shop", long); len(got) != maxLabel || !strings.HasPrefix(got, "shop-longlong") {
		t.Errorf("a long name: got %q of length %d, want %d", got, len(got), maxLabel)
	}
	if a, b := Name("shop", long+"a"), Name("shop", long+"b"); a == b {
		t.Errorf("two long names are cut to the same %q", a)
	}
}

func TestConfigHash(t *testing.T) {
	t.Parallel()
	if a, b := ConfigHash(map[string]string{"AB": "C"}), ConfigHash(map[string]string{"A": "BC"}); a == b {
		t.Errorf("different content has the same hash %q", a)
	}
}

func read(t *testing.T, path string) agent.Release {
	t.Helper()
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var release agent.Release
	if err := yaml.UnmarshalStrict(document, &release); err != nil {
		t.Fatal(err)
	}
	return release
}

func render(t *testing.T, release agent.Release) []*unstructured.Unstructured {
	t.Helper()
	objects, err := Objects(release)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}
