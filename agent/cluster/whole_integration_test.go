package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/spec"
)

// everything is a release that has an object of every kind: its domain needs an
// App with routing, its secrets the Secret shop.
func (f *fixture) everything(number int) agent.Release {
	r := f.release(number)
	secrets := map[string]string{"REDIS_URL": "k8s://shop#REDIS_URL", "KEY": "generate://32"}
	run := spec.Command{Shell: "bin/task"}
	r.App.Services = []spec.Service{
		{Name: "backfill", Type: spec.Job, Run: run, CPU: "10m", Memory: "16Mi"},
		{
			Name: "mail", Type: spec.Worker, CPU: "10m", Memory: "16Mi", Secrets: secrets,
			Replicas: 1, Scale: spec.Scale{Min: 1, Max: 3, Queue: spec.Queue{Type: "redis", Name: "mail", From: "REDIS_URL", Length: 5}},
		},
		{
			Name: "nightly", Type: spec.Job, Run: run, CPU: "10m", Memory: "16Mi", Env: map[string]string{"A": "b"},
			Schedule: spec.Schedule{Cron: "0 3 * * *", Timezone: "Europe/Rome", Retries: 2},
		},
		{
			Name: "web", Type: spec.Web, Port: 8080, CPU: "10m", Memory: "16Mi", Secrets: secrets, Env: map[string]string{"A": "b"},
			Replicas: 2, Scale: spec.Scale{Min: 2, Max: 5, CPU: 70}, Domains: []string{"shop.example.com"},
		},
	}
	r.App.Predeploy = &spec.Task{Run: run, CPU: "10m", Memory: "16Mi", Env: map[string]string{"A": "b"}, Secrets: secrets}
	return r
}

// putApp makes the App of the fixture's releases; how its routing is JSON.
func (f *fixture) putApp(t *testing.T, how string) {
	t.Helper()
	r := f.release(1)
	body := fmt.Sprintf(`{"apiVersion":"inhaul.dev/v1alpha1","kind":"App","metadata":{"name":"shop"},"spec":{"intents":"x","images":["x"],
		"signers":[{"issuer":"https://x"}],"environments":[{"name":%q,"namespace":%q,"domains":["*.example.com"],"routing":%s}]}}`,
		r.Line.Environment, r.Namespace, how)
	err := f.admin.custom.Patch(types.ApplyPatchType).Namespace(f.namespace).Resource(v1alpha1.Apps).Name("shop").
		Param("fieldManager", "test").Param("force", "true").Body([]byte(body)).Do(t.Context()).Error()
	if err != nil {
		t.Fatal(err)
	}
	var want agent.Routing
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(how, "gatewayNamespace", "gatewaySpace")), &want); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the App is in the cache", func() bool { return cmp.Equal(want, environment(f.Apps(), r.Line).Routing) })
}

// putSecret writes a Secret as its owner would.
func (f *fixture) putSecret(t *testing.T, namespace, name string, data map[string]string) {
	t.Helper()
	encoded := map[string][]byte{} // as JSON has it: base64
	for key, value := range data {
		encoded[key] = []byte(value)
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name}, "data": encoded})
	if err != nil {
		t.Fatal(err)
	}
	force := true
	_, err = f.admin.core.Secrets(namespace).Patch(t.Context(), name, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: "test", Force: &force})
	if err != nil {
		t.Fatal(err)
	}
}

// created makes r durable, and so its namespace.
func (f *fixture) created(t *testing.T, r agent.Release) agent.Release {
	t.Helper()
	r, err := f.CreateRelease(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// applied applies a release that was created, and keeps its inventory.
func (f *fixture) applied(t *testing.T, r agent.Release) agent.Release {
	t.Helper()
	var err error
	if r.Status.Inventory, err = f.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.Status.Phase = agent.Succeeded
	if r, err = f.UpdateRelease(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func kinds(inventory []agent.Object) []string {
	seen := map[string]bool{}
	for _, o := range inventory {
		seen[o.Kind] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// exists asks the API server for an object.
func (f *fixture) exists(t *testing.T, o agent.Object) bool {
	t.Helper()
	r, ok := f.resource(o.Kind)
	if !ok {
		t.Fatalf("%s is no kind of a release", o.Kind)
	}
	_, err := f.read(t.Context(), r, o)
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

func TestEveryKindIsAppliedAndPruned(t *testing.T) {
	t.Parallel()
	f := integration(t)
	installExtensions(t)
	f.putApp(t, `{"gateway":"public","gatewayNamespace":"gateways"}`)
	r := f.created(t, f.everything(1))
	f.forgetPlace("") // as if they had come after the client asked what there is: it asks again
	f.putSecret(t, r.Namespace, "shop", map[string]string{"REDIS_URL": "rediss://user:hunter2@redis.example.com:6380"})

	var err error
	if r.Status.Inventory, err = f.StartTask(t.Context(), r, agent.TaskPredeploy); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ConfigMap", "Job", "Secret"}, kinds(r.Status.Inventory)); diff != "" {
		t.Errorf("the predeploy's inventory (-want +got):\n%s", diff)
	}
	r = f.applied(t, r)
	through := r.Status.Inventory
	f.putApp(t, `{"ingressClass":"nginx","tlsSecret":"{host}-tls","annotations":{"a":"b"}}`)
	r = f.applied(t, r)

	var want []string
	for _, gvk := range render.Allowed() {
		want = append(want, gvk.Kind)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, kinds(r.Status.Inventory)); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	for _, o := range r.Status.Inventory {
		if !f.exists(t, o) {
			t.Errorf("%s %s is not there", o.Kind, o.Name)
		}
	}
	if len(through) >= len(r.Status.Inventory) || !slices.Contains(r.Status.Inventory, through[0]) {
		t.Errorf("got %d objects, then %d; want what was there and the Ingress", len(through), len(r.Status.Inventory))
	}
	eventually(t, "applying what is there writes nothing", func() bool {
		f.requests.take()
		if _, err := f.Apply(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return len(writes(f.requests.take())) == 0
	})

	eventually(t, "everything is pruned", func() bool {
		left, err := f.Prune(t.Context(), r, r.Status.Inventory, nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(left) == 0
	})
	for _, o := range r.Status.Inventory {
		if f.exists(t, o) {
			t.Errorf("%s %s is still there", o.Kind, o.Name)
		}
	}
	for _, name := range []string{"shop", generatedName("shop")} { // the team's own, and the seed
		if !f.exists(t, secretReference(r.Namespace, name)) {
			t.Errorf("Secret %s is gone", name)
		}
	}
}

func TestPruneLeavesForeignSecretsAlone(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.created(t, f.release(1))
	f.putSecret(t, r.Namespace, "shop", map[string]string{"A": "b"})
	theirs := secretReference(r.Namespace, "shop")
	if left, err := f.Prune(t.Context(), r, []agent.Object{theirs}, nil); err != nil || len(left) != 0 {
		t.Errorf("got %v, %v", left, err)
	}
	if !f.exists(t, theirs) {
		t.Error("somebody else's Secret is gone")
	}
}

func TestReplicasOfTheAutoscalerAreKept(t *testing.T) {
	t.Parallel()
	f := integration(t)
	release := func(number int, scale spec.Scale, replicas int) agent.Release {
		r := f.release(number)
		r.App.Services[0].Scale, r.App.Services[0].Replicas = scale, replicas
		return f.created(t, r)
	}
	replicas := func(r agent.Release) int {
		d, err := f.clients.apps.Deployments(r.Namespace).Get(t.Context(), "shop-web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return int(*d.Spec.Replicas)
	}
	first := f.applied(t, release(1, spec.Scale{Min: 2, Max: 6, CPU: 70}, 2))
	if got := replicas(first); got != 2 {
		t.Errorf("at first: got %d replicas, want the least", got)
	}
	_, err := f.admin.apps.Deployments(first.Namespace).Patch(t.Context(), "shop-web", types.MergePatchType,
		[]byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{FieldManager: "autoscaler"})
	if err != nil {
		t.Fatal(err)
	}
	await := func(want int) {
		eventually(t, fmt.Sprintf("the cache has %d replicas", want), func() bool {
			o := f.awaitObservation(t, first, func(agent.Observation) bool { return true })
			return o.Services[0].Desired == want
		})
	}
	await(4)
	second := release(2, spec.Scale{Min: 2, Max: 6, CPU: 70}, 2)
	f.requests.take()
	second = f.applied(t, second)
	written := slices.DeleteFunc(writes(f.requests.take()), func(s string) bool { return !strings.Contains(s, "/deployments/shop-web?") })
	if len(written) != 1 {
		t.Errorf("the Deployment was written %d times, want once", len(written))
	}
	if got := replicas(second); got != 4 {
		t.Errorf("after a release: got %d replicas, want the autoscaler's 4", got)
	}
	if f.applied(t, release(3, spec.Scale{Min: 2, Max: 3, CPU: 70}, 2)); replicas(first) != 3 {
		t.Errorf("with a lower bound: got %d replicas, want 3", replicas(first))
	}

	fixed := f.applied(t, release(4, spec.Scale{}, 1))
	scaler := agent.Object{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler", Namespace: fixed.Namespace, Name: "shop-web"}
	if replicas(fixed) != 1 || f.exists(t, scaler) {
		t.Errorf("without scale: got %d replicas and an autoscaler %v; want 1 and none", replicas(fixed), f.exists(t, scaler))
	}
	if f.applied(t, second); !f.exists(t, scaler) {
		t.Error("the autoscaler is not back with its release")
	}
}

// TestADefinitionOfTomorrowIsNotDeployed stores a release as a newer agent would.
func TestADefinitionOfTomorrowIsNotDeployed(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.release(1)
	if err := f.ensureNamespace(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	o := releaseResource(r)
	o.Spec.Definition = runtime.RawExtension{Raw: []byte(`{"name":"shop","services":[{"name":"web","type":"web","replicas":1,"cpu":"1","memory":"1Gi","mesh":true}]}`)}
	if err := f.admin.custom.Post().Namespace(r.Namespace).Resource(v1alpha1.Releases).Body(o).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the release is in the cache", func() bool { return len(f.Releases(r.Line)) == 1 })
	f.requests.take()
	var rejected *agent.Rejected
	_, err := f.Apply(t.Context(), f.Releases(r.Line)[0])
	if !errors.As(err, &rejected) || !strings.Contains(rejected.Message, `unknown field "mesh"`) {
		t.Errorf("got %v, want it refused for its unknown key", err)
	}
	if sent := f.requests.take(); len(sent) != 0 {
		t.Errorf("sent %v", sent)
	}
}

// TestStoriesAreAccepted tries every object of every story of package render: a
// field that a kind does not have is refused too.
func TestStoriesAreAccepted(t *testing.T) {
	t.Parallel()
	f := integration(t)
	installExtensions(t)
	namespace := f.release(1)
	if err := f.ensureNamespace(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	stories, err := filepath.Glob("../render/testdata/*/release.yaml")
	if err != nil || len(stories) == 0 {
		t.Fatalf("stories: got %v, %v", stories, err)
	}
	read := func(path string, into any) {
		document, err := os.ReadFile(path)
		if err == nil {
			err = yaml.UnmarshalStrict(document, into)
		}
		if err != nil && !os.IsNotExist(err) {
			t.Fatalf("%s: %v", path, err)
		}
	}
	for _, path := range stories {
		var r agent.Release
		var platform render.Platform
		read(path, &r)
		read(filepath.Join(filepath.Dir(path), "platform.yaml"), &platform)
		r.Namespace = namespace.Namespace
		objects, err := render.Objects(r, platform)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		predeploy, err := render.Task(r, agent.TaskPredeploy, platform)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, u := range append(objects, predeploy...) {
			if err := f.tryStrictly(t, u); err != nil {
				t.Errorf("%s: %s %s: %v", filepath.Base(filepath.Dir(path)), u.GetKind(), u.GetName(), err)
			}
		}
	}
}

func (f *fixture) tryStrictly(t *testing.T, u *unstructured.Unstructured) error {
	t.Helper()
	r, ok := f.resource(u.GetKind())
	if !ok {
		return errors.New("is no kind of a release")
	}
	body, err := u.MarshalJSON()
	if err != nil {
		return err
	}
	request := r.client.Patch(types.ApplyPatchType).Name(u.GetName())
	if u.GetKind() == "Job" {
		request = r.client.Post().SetHeader("Content-Type", runtime.ContentTypeJSON)
	}
	return request.Namespace(u.GetNamespace()).Resource(r.plural).Param("fieldManager", render.Manager).
		Param("dryRun", metav1.DryRunAll).Param("fieldValidation", metav1.FieldValidationStrict).Body(body).Do(t.Context()).Error()
}

// TestAppsRouting tries what the schema of routing must not take.
func TestAppsRouting(t *testing.T) {
	t.Parallel()
	f := integration(t)
	try := func(environment string) error {
		body := `{"apiVersion":"inhaul.dev/v1alpha1","kind":"App","metadata":{"name":"shop"},"spec":{"intents":"x","images":["x"],
			"signers":[{"issuer":"https://x"}],"environments":[{"name":"a","namespace":"x",` + environment + `}]}}`
		return f.admin.custom.Patch(types.ApplyPatchType).Namespace(f.namespace).Resource(v1alpha1.Apps).Name("shop").
			Param("fieldManager", "test").Param("dryRun", metav1.DryRunAll).Body([]byte(body)).Do(t.Context()).Error()
	}
	for environment, want := range map[string]string{
		`"domains":["shop.example.com","*.example.com","pr-*.example.com"]`:                       "",
		`"domains":["https://shop.example.com"]`:                                                  "domains",
		`"domains":["Shop.example.com"]`:                                                          "domains",
		`"domains":["a..b"]`:                                                                      "domains",
		`"routing":{"ingressClass":"nginx","tlsSecret":"{host}-tls","annotations":{"a/b":"c d"}}`: "",
		`"routing":{"tlsSecret":"{name}-tls"}`:                                                    "tlsSecret",
		`"routing":{"gateway":"public","gatewayNamespace":"gateways","from":["gateways"]}`:        "",
		`"routing":{"gateway":"public","ingressClass":"nginx"}`:                                   "takes the place of",
		`"routing":{"gatewayNamespace":"gateways"}`:                                               "needs gateway",
		`"routing":{"from":["*"]}`:                                                                "from",
	} {
		switch err := try(environment); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", environment, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want it refused for %q", environment, err, want)
		}
	}
}
