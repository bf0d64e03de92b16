package cluster

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestObserve looks at each view as the caches would hold it (trimmed) for
// release 7 of the app shop, with one web service and a job.
func TestObserve(t *testing.T) {
	t.Parallel()
	release := agent.Release{
		Line: agent.Line{App: "shop", Environment: "production"}, Namespace: "shop", Number: 7,
		App: spec.App{Name: "shop", Services: []spec.Service{
			{Name: "nightly", Type: spec.Job}, {Name: "web", Type: spec.Web, Port: 8080, Replicas: 2},
		}},
	}
	stories, err := filepath.Glob("testdata/observe/*/view.yaml")
	if err != nil || len(stories) == 0 {
		t.Fatalf("stories: got %v, %v", stories, err)
	}
	for _, path := range stories {
		story := filepath.Dir(path)
		t.Run(filepath.Base(story), func(t *testing.T) {
			t.Parallel()
			compareGolden(t, filepath.Join(story, "want.yaml"), observe(release, readView(t, path)))
		})
	}
}

func readView(t *testing.T, path string) view {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v view
	decoder := scheme.Codecs.UniversalDeserializer()
	for document := range bytes.SplitSeq(content, []byte("---\n")) {
		o, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		trimmed, err := trim(o)
		if err != nil {
			t.Fatal(err)
		}
		switch typed := trimmed.(type) {
		case *appsv1.Deployment:
			v.deployments = append(v.deployments, typed)
		case *appsv1.ReplicaSet:
			v.replicaSets = append(v.replicaSets, typed)
		case *corev1.Pod:
			v.pods = append(v.pods, typed)
		case *discoveryv1.EndpointSlice:
			v.slices = append(v.slices, typed)
		default:
			t.Fatalf("a view holds no %T", trimmed)
		}
	}
	return v
}
