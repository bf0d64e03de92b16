package cluster

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

// TestThePlannedObjectsAreThoseWithSecrets is about an app whose objects mention
// Secrets that are not made yet: the objects are called the same once they are.
func TestThePlannedObjectsAreThoseWithSecrets(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"URL": "k8s://shop#URL"}
	r := agent.Release{
		Line: agent.Line{App: "shop", Environment: "production"}, Namespace: "shop", Number: 7, Image: "registry.example/shop@sha256:abc",
		App: spec.App{
			Name: "shop",
			Services: []spec.Service{
				{Name: "web", Type: spec.Web, Port: 8080, Replicas: 1, CPU: "1m", Memory: "1Mi", Secrets: secrets, Env: map[string]string{"A": "b"}},
				{
					Name: "worker", Type: spec.Worker, Replicas: 1, CPU: "1m", Memory: "1Mi", Secrets: secrets,
					Scale: spec.Scale{Min: 1, Max: 2, Queue: spec.Queue{Type: "redis", Name: "jobs", From: "URL", Length: 5}},
				},
			},
			Predeploy: &spec.Task{Run: spec.Command{Shell: "bin/migrate"}, CPU: "1m", Memory: "1Mi", Secrets: secrets},
		},
	}
	c := answered(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("got %s %s, want no request", r.Method, r.URL) })
	c.extensions.keda = true
	got, err := c.Objects(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, h := range render.Holders(r.App) {
		names[h.Name] = render.SecretName("shop", h.Name, "what is in it")
	}
	objects, err := render.Objects(r, render.Platform{KEDA: true, Secrets: names})
	if err != nil {
		t.Fatal(err)
	}
	want := plan{objects: objects}.inventory()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for kind, wanted := range map[string]bool{"Deployment": true, "TriggerAuthentication": true, "ScaledObject": true, "Secret": false, "Job": false} {
		if has := slices.ContainsFunc(got, func(o agent.Object) bool { return o.Kind == kind }); has != wanted {
			t.Errorf("got a %s in the plan: %t, want %t", kind, has, wanted)
		}
	}
}
