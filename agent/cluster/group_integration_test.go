package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/spec"
)

// grouped is a fixture with the rights of the agent, whose Apps are of one group. No
// other test has Apps of these names: releases are found by their line in all namespaces.
func grouped(t *testing.T, apps ...string) *fixture {
	t.Helper()
	f := previewing(t)
	for _, app := range apps {
		body := fmt.Sprintf(`{"apiVersion":"inhaul.dev/v1alpha1","kind":"App","metadata":{"name":%q},"spec":{"intents":%q,"images":["x"],
			"signers":[{"issuer":"https://x"}],"environments":[{"name":"production","namespace":"x"}],
			"rules":[{"name":"pulls","environments":["pr-*"],"repositoryID":1234,"refs":["refs/pull/*/merge"]}],
			"previews":{"group":"store","namespace":"%s-pr-{number}","host":"pr-{number}.{group}.preview.example.com","quota":{"cpu":"2","pods":5}}}}`, app, app, f.namespace)
		err := f.admin.custom.Patch(types.ApplyPatchType).Namespace(f.namespace).Resource(v1alpha1.Apps).Name(app).
			Param("fieldManager", "test").Param("force", "true").Body([]byte(body)).Do(t.Context()).Error()
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the Apps are in the cache", func() bool {
		return len(slices.DeleteFunc(f.Apps(), func(a agent.App) bool { return a.PreviewPolicy == nil || a.PreviewPolicy.Group == "" })) == len(apps)
	})
	return f
}

// opened is a release of pull request 7 of app, which answers to a path, and the record
// of its preview. The group is "store", of repository 1234.
func (f *fixture) opened(t *testing.T, app, path string, changes ...func(*agent.Preview)) (agent.Release, agent.Preview) {
	t.Helper()
	r := f.release(1)
	r.Line, r.Namespace = agent.Line{App: app, Environment: "pr-7"}, f.namespace+"-pr-7"
	r.App.Name, r.App.Services = app, []spec.Service{{Name: "web", Type: spec.Web, Port: 8080, Replicas: 1, CPU: "10m", Memory: "16Mi", Paths: []string{path}}}
	p, err := f.KeepPreview(t.Context(), r.Line, func(p *agent.Preview) error {
		p.Phase, p.Namespace, p.Repository, p.RepositoryID, p.CreatedAt = agent.PreviewActive, r.Namespace, "acme/shop", 1234, time.Now()
		p.Group, p.Owner = "store", ""
		for _, change := range changes {
			change(p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, p
}

// deployed has r running.
func (f *fixture) deployed(t *testing.T, r agent.Release) agent.Release {
	t.Helper()
	r = f.created(t, r)
	var err error
	if r.Status.Inventory, err = f.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// gone takes the preview of a line away as the agent does, and reports whether its
// namespace went with it.
func (f *fixture) gone(t *testing.T, line agent.Line) bool {
	t.Helper()
	p, _ := f.Preview(line)
	p = f.setPhase(t, p, agent.PreviewDestroying)
	deleted := false
	eventually(t, "the preview of "+line.App+" is gone", func() bool {
		left, err := f.DeleteNamespace(t.Context(), p)
		if errors.Is(err, agent.ErrShared) {
			if left, err = f.ClearNamespace(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if left != "" {
				return false
			}
			for _, r := range f.Releases(line) {
				if err := f.Trim(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			out, err := f.LeaveNamespace(t.Context(), p)
			if err != nil && !apierrors.IsConflict(errors.Unwrap(err)) {
				t.Fatal(err)
			}
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		deleted = left == ""
		return deleted
	})
	f.setPhase(t, p, agent.PreviewDestroyed)
	return deleted
}

func (f *fixture) names(t *testing.T, namespace string) []string {
	t.Helper()
	list, err := f.admin.apps.Deployments(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range list.Items {
		names = append(names, d.Name)
	}
	return names
}

// TestAppsOfAGroupShareANamespace has the one that made it go first.
func TestAppsOfAGroupShareANamespace(t *testing.T) {
	t.Parallel()
	f := grouped(t, "store-web", "store-api")
	web, maker := f.opened(t, "store-web", "/")
	web = f.deployed(t, web)
	api, _ := f.opened(t, "store-api", "/api")
	api = f.deployed(t, api)

	space, err := f.admin.core.Namespaces().Get(t.Context(), web.Namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if space.Labels[render.LabelPreview] != maker.UID || space.Labels[render.LabelGroup] != "store" {
		t.Errorf("got labels %v, want those of the one that came first, %s, and of the group", space.Labels, maker.UID)
	}
	if p, _ := f.Preview(api.Line); p.Owner != maker.UID || !p.Owns(maker.UID) {
		t.Errorf("got owner %q on the record of the second, want %s", p.Owner, maker.UID)
	}
	quota, err := f.admin.core.ResourceQuotas(web.Namespace).Get(t.Context(), render.PreviewRails, metav1.GetOptions{})
	if cpu, pods := quota.Spec.Hard["requests.cpu"], quota.Spec.Hard["pods"]; err != nil || cpu.String() != "4" || pods.String() != "10" {
		t.Errorf("got quota %v, %v; want the sum of both", quota.Spec.Hard, err)
	}
	hosts, err := f.admin.networking.Ingresses(web.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(hosts.Items) != 2 || hosts.Items[0].Spec.Rules[0].Host != hosts.Items[1].Spec.Rules[0].Host {
		t.Errorf("got Ingresses %+v, %v; want two of one host", hosts.Items, err)
	}

	if f.gone(t, web.Line) {
		t.Fatal("the namespace went with the first that left")
	}
	if got := f.names(t, web.Namespace); !slices.Equal(got, []string{"store-api-web"}) || len(f.Releases(api.Line)) != 1 || len(f.Releases(web.Line)) != 0 {
		t.Errorf("got Deployments %v, %d and %d releases; want what is of the other one alone", got, len(f.Releases(api.Line)), len(f.Releases(web.Line)))
	}
	secrets, err := f.admin.core.ConfigMaps(web.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: render.LabelApp + "=store-web"})
	if err != nil || len(secrets.Items) != 0 {
		t.Errorf("got %d ConfigMaps of the one that left, %v", len(secrets.Items), err)
	}
	// It may come back, as it was.
	web, _ = f.opened(t, "store-web", "/")
	web.Number = 2
	f.deployed(t, web)
	if f.gone(t, api.Line) {
		t.Fatal("the namespace went although the first is back")
	}
	if !f.gone(t, web.Line) {
		t.Error("the last one left, and the namespace is there")
	}
}

// TestNamespaceOfAGroupIsOnlyItsOwn is about who must not come in.
func TestNamespaceOfAGroupIsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	f := grouped(t, "stand-web", "stand-api")
	web, p := f.opened(t, "stand-web", "/")
	web = f.deployed(t, web)
	for what, change := range map[string]func(*agent.Preview){
		"of another group":      func(p *agent.Preview) { p.Group = "stall" },
		"of no group":           func(p *agent.Preview) { p.Group = "" },
		"of another repository": func(p *agent.Preview) { p.RepositoryID = 99 },
	} {
		stranger, record := f.opened(t, "stand-api", "/api", change)
		_, err := f.CreateRelease(t.Context(), stranger)
		if rejected := (*agent.Rejected)(nil); !errors.As(err, &rejected) || !strings.Contains(rejected.Message, "did not make it") {
			t.Errorf("a preview %s comes in: got %v, want it refused", what, err)
		}
		if left, err := f.DeleteNamespace(t.Context(), record); !errors.Is(err, agent.ErrForeign) || left != "" {
			t.Errorf("a preview %s deletes it: got %q, %v", what, left, err)
		}
	}
	for what, body := range map[string]string{
		"take over the group":   fmt.Sprintf(`{"metadata":{"labels":{%q:"stall"}}}`, render.LabelGroup),
		"take the group off":    fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, render.LabelGroup),
		"give it to a stranger": fmt.Sprintf(`{"metadata":{"labels":{%q:"x"}}}`, render.LabelPreview),
	} {
		_, err := f.clients.core.Namespaces().Patch(t.Context(), web.Namespace, types.MergePatchType, []byte(body), metav1.PatchOptions{})
		if err == nil || !strings.Contains(err.Error(), "inhaul-namespace") {
			t.Errorf("an agent that wants to %s: got %v, want it denied", what, err)
		}
	}
	// One whose records are all over is nobody's.
	f.setPhase(t, p, agent.PreviewDestroyed)
	api, _ := f.opened(t, "stand-api", "/api")
	if _, err := f.CreateRelease(t.Context(), api); err == nil || !strings.Contains(err.Error(), "did not make it") {
		t.Errorf("coming into one that no record owns: got %v, want it refused", err)
	}
	f.setPhase(t, p, agent.PreviewDestroying)
	if _, err := f.CreateRelease(t.Context(), api); err == nil || !strings.Contains(err.Error(), "still being deleted") {
		t.Errorf("coming into one that is about to go: got %v, want it to wait", err)
	}
}

// TestAddressesInAGroupAreTakenOnce is about two apps that answer to the same.
func TestAddressesInAGroupAreTakenOnce(t *testing.T) {
	t.Parallel()
	f := grouped(t, "booth-web", "booth-api")
	web, _ := f.opened(t, "booth-web", "/")
	f.deployed(t, web)
	api, _ := f.opened(t, "booth-api", "/")
	api = f.created(t, api)
	_, err := f.Apply(t.Context(), api)
	rejected := (*agent.Rejected)(nil)
	if !errors.As(err, &rejected) || rejected.Setting != "services.web.paths" || !strings.Contains(rejected.Message, `app "booth-web"`) {
		t.Fatalf("got %v, want the path refused", err)
	}
	if got := f.names(t, web.Namespace); !slices.Equal(got, []string{"booth-web-web"}) {
		t.Errorf("got Deployments %v, want nothing of what was refused", got)
	}
	api.App.Services[0].Paths = []string{"/api"}
	if _, err := f.Apply(t.Context(), api); err != nil {
		t.Errorf("with another path: %v", err)
	}
}

// TestAppsOfAGroupLeaveAtOnce has all of a group end together, and one come in
// meanwhile, over and over: the namespace is there for whoever is in it, and goes with
// the last.
func TestAppsOfAGroupLeaveAtOnce(t *testing.T) {
	t.Parallel()
	apps := []string{"crowd-a", "crowd-b", "crowd-c"}
	f := grouped(t, apps...)
	for round := range 4 {
		var all sync.WaitGroup
		lines := make([]agent.Line, len(apps))
		for i, app := range apps {
			r, _ := f.opened(t, app, "/"+app)
			r.Number = round + 1
			lines[i] = r.Line
			all.Go(func() { // at once, whoever makes it
				for try := 0; ; try++ {
					if _, err := f.CreateRelease(t.Context(), r); err == nil {
						return
					} else if try == 100 {
						t.Errorf("coming in: %v", err)
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
		leaving := lines
		if round%2 == 0 {
			leaving = lines[:2]
		}
		deleted := make([]bool, len(lines))
		for i, line := range leaving {
			all.Go(func() { deleted[i] = f.gone(t, line) })
		}
		all.Wait()
		there, err := f.admin.core.Namespaces().Get(t.Context(), f.namespace+"-pr-7", metav1.GetOptions{})
		if round%2 == 0 {
			if err != nil || there.DeletionTimestamp != nil || slices.Contains(deleted, true) || len(f.Releases(lines[2])) == 0 {
				t.Fatalf("round %d: got %v and %v deleted, want it to stay for the one that is in it", round, err, deleted)
			}
		} else if !apierrors.IsNotFound(err) {
			t.Fatalf("round %d: got %v, want nothing left", round, err)
		}
	}
}
