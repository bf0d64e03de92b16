package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

func TestHostsOfAPreview(t *testing.T) {
	t.Parallel()
	web := func(name string, paths ...string) spec.Service {
		return spec.Service{Name: name, Type: spec.Web, Paths: paths}
	}
	private := web("internal")
	private.Private = true
	own := web("own")
	own.Domains = []string{"own.example.com"}
	const host = "pr-7.shop.preview.example.com"
	for name, test := range map[string]struct {
		host     string
		services []spec.Service
		want     map[string]string
	}{
		"no preview":               {"", []spec.Service{web("web")}, map[string]string{"web": ""}},
		"one service":              {host, []spec.Service{web("shop")}, map[string]string{"shop": host}},
		"web before the others":    {host, []spec.Service{web("admin"), web("web")}, map[string]string{"web": host, "admin": "admin-" + host}},
		"the first without a web":  {host, []spec.Service{web("admin"), web("shop")}, map[string]string{"admin": host, "shop": "shop-" + host}},
		"paths of their own":       {host, []spec.Service{web("api", "/api"), web("docs", "/docs"), web("web")}, map[string]string{"web": host, "api": host, "docs": host}},
		"the same paths":           {host, []spec.Service{web("api", "/api"), web("old", "/api"), web("web")}, map[string]string{"web": host, "api": host, "old": "old-" + host}},
		"nobody may reach it":      {host, []spec.Service{private, {Name: "worker", Type: spec.Worker}}, map[string]string{"internal": "", "worker": ""}},
		"a name of its own":        {host, []spec.Service{own}, map[string]string{"own": "own.example.com"}},
		"a label that is too long": {host, []spec.Service{web("a"), web(strings.Repeat("b", 62))}, map[string]string{"a": host, strings.Repeat("b", 62): ""}},
	} {
		app := spec.App{Name: "shop", Services: test.services}
		for _, s := range test.services {
			got := strings.Join(Platform{Host: test.host}.domains(app, s), " ")
			if first, _, _ := strings.Cut(got, "."); len(first) > maxLabel {
				t.Errorf("%s: service %s: %q has a label of %d characters", name, s.Name, got, len(first))
			} else if len(s.Name) < 60 && got != test.want[s.Name] {
				t.Errorf("%s: service %s: got %q, want %q", name, s.Name, got, test.want[s.Name])
			}
		}
	}
}

func TestRailsNeedAQuotaThatCanBeRead(t *testing.T) {
	t.Parallel()
	r := agent.Release{Line: agent.Line{App: "shop", Environment: "pr-7"}, Namespace: "shop-pr-7"}
	for _, q := range []agent.Quota{{CPU: "many", Memory: "1Gi"}, {CPU: "1", Memory: ""}} {
		if _, err := RailsOf(r, "uid", agent.PreviewPolicy{Quota: q}); err == nil || !strings.Contains(err.Error(), "quota of previews") {
			t.Errorf("%+v: got %v", q, err)
		}
	}
	rails, err := RailsOf(r, "uid", agent.PreviewPolicy{Quota: agent.Quota{CPU: "1", Memory: "1Gi", Pods: 3}})
	if err != nil {
		t.Fatal(err)
	}
	hard := map[string]string{}
	for name, quantity := range rails.Quota.Spec.Hard {
		hard[string(name)] = quantity.String()
	}
	want := map[string]string{"requests.cpu": "1", "requests.memory": "1Gi", "limits.memory": "1Gi", "pods": "3", "services.loadbalancers": "0", "services.nodeports": "0"}
	if diff := cmp.Diff(want, hard); diff != "" {
		t.Errorf("quota (-want +got):\n%s", diff)
	}
}
