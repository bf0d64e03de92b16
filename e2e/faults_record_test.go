package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// What is another thing each time that somebody records.
var (
	uids         = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	containerIDs = regexp.MustCompile(`containerd://[0-9a-f]{64}`)
)

// record keeps what the namespace showed when the verdict was made, as evidence
// for the tests of agent/cluster: one file for the objects in the order of kinds
// and names, in the directory INHAUL_FAULTS_RECORD, one folder for each fault.
// The app is called shop there, and the registry registry.example.com.
func (x *trial) record(t *testing.T, story string, objects []*unstructured.Unstructured) {
	t.Helper()
	dir := os.Getenv("INHAUL_FAULTS_RECORD")
	if dir == "" {
		return
	}
	var b strings.Builder
	for _, o := range objects {
		if o.GetKind() == "Release" {
			continue
		}
		o = o.DeepCopy()
		o.SetManagedFields(nil)
		o.SetResourceVersion("")
		document, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		if b.Len() > 0 {
			b.WriteString("---\n")
		}
		b.Write(document)
	}
	text := strings.NewReplacer(
		os.Getenv("LAB_REGISTRY"), "registry.example.com", x.namespace, "shop-production", x.app, "shop", x.token, "[redacted]",
	).Replace(b.String())
	text = numbered(text, uids, "00000000-0000-0000-0000-%012d")
	text = numbered(text, containerIDs, "containerd://%064d")
	folder := filepath.Join(dir, strings.ReplaceAll(story, "-", "_"))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "view.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
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
