package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

func TestEveryAllowedKindIsReached(t *testing.T) {
	t.Parallel()
	connections, err := connect(&rest.Config{Host: "https://nowhere.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{resources: connections.resources()}
	for _, gvk := range render.Allowed() {
		r, ok := c.resource(gvk.Kind)
		if !ok {
			t.Errorf("%s: nobody can write it", gvk.Kind)
			continue
		}
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		if r.plural != plural.Resource || r.client.APIVersion() != gvk.GroupVersion() {
			t.Errorf("%s: got %s of %s, want %s of %s", gvk.Kind, r.plural, r.client.APIVersion(), plural.Resource, gvk.GroupVersion())
		}
		if gvk.Kind == "Secret" && r.keep != "" {
			t.Error("Secrets are kept in a cache")
		}
	}
	for _, kind := range []string{"Pod", "ReplicaSet", "EndpointSlice", "ClusterRole", ""} {
		if _, ok := c.resource(kind); ok {
			t.Errorf("a release can have objects of kind %q", kind)
		}
	}
}

func TestNeeded(t *testing.T) {
	t.Parallel()
	gateway := agent.Environment{Routing: agent.Routing{Gateway: "public"}}
	preview := gateway
	preview.Host = "pr-7.shop.example.com"
	web := spec.Service{Name: "web", Type: spec.Web, Domains: []string{"shop.example.com"}}
	private := web
	private.Private = true
	worker := spec.Service{Name: "worker", Type: spec.Worker, Scale: spec.Scale{Max: 3, Queue: spec.Queue{Type: "redis"}}}
	byCPU := worker
	byCPU.Scale = spec.Scale{Max: 3, CPU: 70}
	tests := map[string]struct {
		services    []spec.Service
		environment agent.Environment
		want        extensions
	}{
		"nothing":                      {[]spec.Service{web, byCPU}, agent.Environment{}, extensions{}},
		"a queue":                      {[]spec.Service{web, worker}, agent.Environment{}, extensions{keda: true}},
		"domains on a Gateway":         {[]spec.Service{web}, gateway, extensions{gateway: true}},
		"a Gateway, and no domain":     {[]spec.Service{{Name: "web", Type: spec.Web}}, gateway, extensions{}},
		"a preview on a Gateway":       {[]spec.Service{{Name: "web", Type: spec.Web}}, preview, extensions{gateway: true}},
		"a Gateway, and nobody public": {[]spec.Service{private, byCPU}, gateway, extensions{}},
	}
	for name, test := range tests {
		if got := needed(spec.App{Services: test.services}, test.environment); got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	want := agent.Routing{IngressClass: "nginx", From: []string{"ingress"}}
	apps := []agent.App{
		{Name: "other", Environments: []agent.Environment{{Name: "production", Routing: agent.Routing{Gateway: "x"}}}},
		{Name: "shop", Environments: []agent.Environment{{Name: "staging"}, {Name: "production", Routing: want}}},
	}
	if diff := cmp.Diff(want, environment(apps, agent.Line{App: "shop", Environment: "production"}).Routing); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(agent.Routing{}, environment(apps, agent.Line{App: "shop", Environment: "pr-7"}).Routing); diff != "" {
		t.Errorf("an environment that the App does not name (-want +got):\n%s", diff)
	}
}
