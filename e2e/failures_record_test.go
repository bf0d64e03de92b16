package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/spec"
)

// What is another thing each time that somebody records. The node knows an image
// by the name of whoever brought it first.
var (
	images       = regexp.MustCompile(`registry\.example\.com/acme/[a-z0-9-]+@`)
	uids         = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	containerIDs = regexp.MustCompile(`containerd://[0-9a-f]{64}`)
)

// record keeps what the namespace showed when the verdict was made, for the tests
// of agent/cluster: a folder for each fault in the directory INHAUL_FAULTS_RECORD,
// as the README in agent/cluster/testdata/evidence describes it. The app is called
// shop there, and the registry registry.example.com. The objects are those right
// before the verdict was written down.
func (x *trial) record(t *testing.T, f failure, app spec.App, judged version) {
	t.Helper()
	dir := os.Getenv("INHAUL_FAULTS_RECORD")
	if dir == "" || f.evidence == "" {
		return
	}
	var r v1alpha1.Release
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(judged.object.Object, &r); err != nil {
		t.Fatal(err)
	}
	app.Name = "shop"
	for i := range app.Services {
		app.Services[i].Secrets = nil // there is none where it is read
	}
	story := map[string]any{
		"looked": cmp.Or(moment(r, agent.StepVerdict), judged.at.UTC().Format(time.RFC3339Nano)), "applied": moment(r, agent.StepApplied),
		"namespace": "shop-production", "release": r.Spec.Number, "app": app,
	}
	if app.Predeploy != nil {
		app.Predeploy.Secrets = nil
		story["predeploy"], story["applied"] = true, moment(r, agent.StepPredeploying)
	}
	if story["applied"] == "" {
		return // the cluster was not asked
	}
	folder := filepath.Join(dir, f.evidence)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"story.yaml":   firstLine(filepath.Join(folder, "story.yaml")) + document(t, story),
		"objects.yaml": x.objects(t, x.history.asOf(judged.number()), r.Spec.Intent),
	}
	if r.Status.Cause.Log != "" {
		files["log.txt"] = r.Status.Cause.Log + "\n"
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// firstLine is the comment that tells a story, of the one that is there already.
func firstLine(path string) string {
	story, err := os.ReadFile(path)
	if line, _, found := strings.Cut(string(story), "\n"); err == nil && found && strings.HasPrefix(line, "# ") {
		return line + "\n"
	}
	return "# Recorded by `make faults`.\n"
}

// moment is when a release reached a step, in UTC; "" if it has not.
func moment(r v1alpha1.Release, step agent.Step) string {
	for _, m := range r.Status.Timeline {
		if m.Step == string(step) {
			return m.At.UTC().Format(time.RFC3339Nano)
		}
	}
	return ""
}

// objects are documents of what a verdict looks at, without what only this
// machine has, and without what the good version's pods have been through.
func (x *trial) objects(t *testing.T, objects []*unstructured.Unstructured, intent string) string {
	t.Helper()
	var documents []string
	for _, o := range objects {
		about, _, _ := unstructured.NestedString(o.Object, "involvedObject", "uid")
		kind, _, _ := unstructured.NestedString(o.Object, "involvedObject", "kind")
		if o.GetKind() == "Release" || kind == "Release" || kind == "PodDisruptionBudget" || x.good.pods[about] {
			continue
		}
		o = o.DeepCopy()
		o.SetManagedFields(nil)
		o.SetResourceVersion("")
		unstructured.RemoveNestedField(o.Object, "spec", "template")
		switch o.GetKind() {
		case "Pod":
			podSpec, _, _ := unstructured.NestedMap(o.Object, "spec")
			maps.DeleteFunc(podSpec, func(field string, _ any) bool { return field != "containers" && field != "nodeName" })
			o.Object["spec"] = podSpec
		case "Event":
			o.Object["metadata"] = map[string]any{"name": o.GetName(), "namespace": o.GetNamespace()}
			for _, field := range []string{"apiVersion", "resourceVersion", "fieldPath"} {
				unstructured.RemoveNestedField(o.Object, "involvedObject", field)
			}
		}
		documents = append(documents, document(t, o.Object))
	}
	text := strings.NewReplacer(
		os.Getenv("LAB_REGISTRY"), "registry.example.com", x.namespace, "shop-production", x.app, "shop", intent, "sha256:recorded",
	).Replace(strings.Join(documents, "---\n"))
	text = images.ReplaceAllString(text, "registry.example.com/acme/shop@")
	return numbered(numbered(text, uids, "00000000-0000-0000-0000-%012d"), containerIDs, "containerd://%064d")
}

func document(t *testing.T, value any) string {
	t.Helper()
	data, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// numbered puts numbers in the places of what a pattern finds: the same one
// wherever it found the same.
func numbered(text string, pattern *regexp.Regexp, format string) string {
	seen := map[string]string{}
	return pattern.ReplaceAllStringFunc(text, func(found string) string {
		if seen[found] == "" {
			seen[found] = fmt.Sprintf(format, len(seen)+1)
		}
		return seen[found]
	})
}
