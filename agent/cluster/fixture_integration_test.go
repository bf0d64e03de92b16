package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// patience is how long an integration test waits for the cluster: far longer
// than it needs, for CI's machines are slow.
const patience = 60 * time.Second

// fixture is a running Client on a real API server, in namespaces of its own.
type fixture struct {
	*Client
	requests *requests
	admin    clients // of who installed the agent
	release  func(number int) agent.Release
}

// integration connects to the cluster of INHAUL_TEST_KUBECONFIG.
func integration(t *testing.T) *fixture {
	t.Helper()
	config, log := testConfig(t)
	installCRDs(t, config)
	name := testNamespace(t, config)
	return start(t, config, log, name)
}

// start runs a Client whose own namespace is name.
func start(t *testing.T, config *rest.Config, log *requests, name string) *fixture {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	client, err := New(ctx, config, Options{
		Namespace: name,
		Lease:     LeaseTimes{Duration: 3 * time.Second, Renew: 2 * time.Second, Retry: 200 * time.Millisecond},
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { _ = client.Start(ctx) }) // ends by cancel alone
	t.Cleanup(func() { cancel(); done.Wait() })
	if err := client.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	config, _ = testConfig(t)
	admin, err := connect(config)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{Client: client, requests: log, admin: admin, release: func(number int) agent.Release { return testRelease(name, number) }}
}

func testConfig(t *testing.T) (*rest.Config, *requests) {
	t.Helper()
	path := os.Getenv("INHAUL_TEST_KUBECONFIG")
	if path == "" {
		if os.Getenv("INHAUL_NO_SKIP") == "1" {
			t.Fatal("INHAUL_TEST_KUBECONFIG is not set: no cluster to test against")
		}
		t.Skip("SKIP: INHAUL_TEST_KUBECONFIG is not set: nothing was tested against a real API server")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	log := &requests{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { log.next = next; return log })
	return config, log
}

// requests counts what is sent to the API server, watches and lists aside.
type requests struct {
	next http.RoundTripper

	mu     sync.Mutex
	sent   []string
	frozen bool // no lease is renewed
}

// RoundTrip implements http.RoundTripper.
func (r *requests) RoundTrip(request *http.Request) (*http.Response, error) {
	if !strings.Contains(request.URL.RawQuery, "watch=") && !strings.Contains(request.URL.RawQuery, "resourceVersion=") {
		r.mu.Lock()
		r.sent = append(r.sent, request.Method+" "+request.URL.Path+"?"+request.URL.RawQuery)
		r.mu.Unlock()
	}
	r.mu.Lock()
	frozen := r.frozen && request.Method == http.MethodPut && strings.Contains(request.URL.Path, "/leases/")
	r.mu.Unlock()
	if frozen {
		return nil, errors.New("frozen")
	}
	return r.next.RoundTrip(request)
}

// freeze keeps the Lease from being renewed, or lets it be again.
func (r *requests) freeze(frozen bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frozen = frozen
}

// take returns what was sent since it was called last.
func (r *requests) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent := r.sent
	r.sent = nil
	return sent
}

// writes are the requests that change something.
func writes(sent []string) []string {
	return slices.DeleteFunc(slices.Clone(sent), func(s string) bool {
		return strings.HasPrefix(s, "GET") || strings.Contains(s, "dryRun")
	})
}

// installCRDs makes the API server know Inhaul's own resources.
func installCRDs(t *testing.T, config *rest.Config) {
	t.Helper()
	install(t, config, "../../deploy/crds/*.yaml", 4)
}

// installExtensions makes the API server know what only some clusters have.
func installExtensions(t *testing.T) {
	t.Helper()
	config, _ := testConfig(t)
	install(t, config, "testdata/crds/*.yaml", 3)
}

func install(t *testing.T, config *rest.Config, pattern string, want int) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != want {
		t.Fatalf("custom resources: got %v, %v", files, err)
	}
	connections, err := connect(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		document, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd unstructured.Unstructured
		if err := yaml.UnmarshalStrict(document, &crd.Object); err != nil {
			t.Fatal(err)
		}
		body, err := crd.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		err = connections.custom.Patch(types.ApplyPatchType).
			AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd.GetName()).
			Param("fieldManager", "test").Param("force", "true").Body(body).Do(t.Context()).Error()
		if err != nil {
			t.Fatal(err)
		}
		plural, group, _ := strings.Cut(crd.GetName(), ".")
		versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
		version, _ := versions[0].(map[string]any)["name"].(string)
		eventually(t, "the API server serves "+plural, func() bool {
			served, err := connections.custom.Get().AbsPath("/apis", group, version).Do(t.Context()).Raw()
			return err == nil && strings.Contains(string(served), `"`+plural+`"`) &&
				connections.custom.Get().AbsPath("/apis", group, version, plural).Do(t.Context()).Error() == nil
		})
	}
}

// testNamespace makes a namespace for the test, and deletes it afterwards
// together with those that the test's releases make.
func testNamespace(t *testing.T, config *rest.Config) string {
	t.Helper()
	connections, err := connect(config)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test-%x", time.Now().UnixNano())
	_, err = connections.core.Namespaces().Patch(t.Context(), name, types.ApplyPatchType,
		fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, name), metav1.PatchOptions{FieldManager: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, namespace := range []string{name, name + "-production"} {
			_ = connections.core.Namespaces().Delete(context.WithoutCancel(t.Context()), namespace, metav1.DeleteOptions{}) // best effort
		}
	})
	return name
}

func testRelease(namespace string, number int) agent.Release {
	digest := strings.Repeat(fmt.Sprintf("%x", number%16), 64)
	return agent.Release{
		Line:      agent.Line{App: "shop", Environment: namespace}, // a line of the test's own: tests share the cluster
		Namespace: namespace + "-production", Number: number,
		Intent: "sha256:" + digest, Kind: intent.Deploy, Reason: agent.ReasonNewest,
		Image:    "registry.example.com/shop@sha256:" + digest,
		Source:   intent.Source{Repository: "acme/shop", Commit: digest[:40], RunID: 1, RunAttempt: 1},
		IssuedAt: time.Date(2026, 11, 23, 1, 2, 3, 4e6, time.UTC),
		App: spec.App{Name: "shop", Services: []spec.Service{
			{Name: "web", Type: spec.Web, Port: 8080, Replicas: 2, CPU: "10m", Memory: "16Mi", Env: map[string]string{"A": "b"}},
			{Name: "worker", Type: spec.Worker, Replicas: 1, CPU: "10m", Memory: "16Mi", Env: map[string]string{"C": "d"}},
		}},
		Status: agent.Status{Timeline: []agent.Moment{{Step: agent.StepNoticed, At: time.Date(2026, 11, 23, 1, 2, 4, 0, time.UTC)}}},
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// awaitObservation watches r until an observation satisfies want.
func (f *fixture) awaitObservation(t *testing.T, r agent.Release, want func(agent.Observation) bool) agent.Observation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var seen agent.Observation
	if err := f.Watch(ctx, r, func(o agent.Observation) bool { seen = o; return want(o) }); err != nil {
		t.Fatalf("watching: %v; last seen: %+v", err, seen)
	}
	return seen
}

// live reports whether the release serves and nothing older does.
func live(o agent.Observation) bool {
	for _, s := range o.Services {
		ready := 0
		for _, pod := range s.Pods {
			if pod.Ready && !pod.Deleting {
				ready++
			}
		}
		if !s.Observed || ready < s.Desired || s.Old > 0 || s.Endpoints > 0 {
			return false
		}
	}
	return true
}
