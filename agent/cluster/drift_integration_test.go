package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

func everyObject(agent.Object) bool { return false }

// drifted looks until there is drift, and returns it.
func (f *fixture) drifted(t *testing.T, r agent.Release, policy agent.DriftPolicy) []agent.Drift {
	t.Helper()
	var found []agent.Drift
	eventually(t, "there is drift", func() bool {
		var err error
		if found, err = f.Drifted(t.Context(), r, policy, everyObject); err != nil {
			t.Fatal(err)
		}
		return len(found) > 0
	})
	return found
}

// atPeace waits until the caches show what was written, and fails if that takes
// a single request or shows drift.
func (f *fixture) atPeace(t *testing.T, r agent.Release) {
	t.Helper()
	f.requests.take()
	for range 20 {
		found, err := f.Drifted(t.Context(), r, agent.DriftRevert, everyObject)
		if err != nil || len(found) > 0 {
			t.Fatalf("got drift %v, %v; want none", found, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	sent := slices.DeleteFunc(f.requests.take(), func(s string) bool { return strings.Contains(s, "/events?") })
	if len(sent) > 0 {
		t.Errorf("sent %d requests for what nobody touched:\n%s", len(sent), strings.Join(sent, "\n"))
	}
}

// awaitTold reads Changed until it delivers the line of r.
func (f *fixture) awaitTold(t *testing.T, r agent.Release) {
	t.Helper()
	for timeout := time.After(patience); ; {
		select {
		case line := <-f.Changed():
			if line == r.Line {
				return
			}
		case <-timeout:
			t.Fatal("the line was never told of")
		}
	}
}

// quiet reads Changed until nothing comes any more.
func (f *fixture) quiet(t *testing.T) {
	t.Helper()
	for {
		select {
		case <-f.Changed():
		case <-time.After(500 * time.Millisecond):
			return
		}
	}
}

// patch changes an object as the given field manager would by kubectl edit.
func (f *fixture) patch(t *testing.T, by string, o agent.Object, body string, subresources ...string) {
	t.Helper()
	r, _ := f.resource(o.Kind)
	kind := types.StrategicMergePatchType
	if r.keep == "" {
		kind = types.MergePatchType
	}
	err := f.adminOf(o.Kind).Patch(kind).Namespace(o.Namespace).Resource(r.plural).Name(o.Name).SubResource(subresources...).
		Param("fieldManager", by).Body([]byte(body)).Do(t.Context()).Error()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) delete(t *testing.T, o agent.Object) {
	t.Helper()
	r, _ := f.resource(o.Kind)
	background := metav1.DeletePropagationBackground
	err := f.adminOf(o.Kind).Delete().Namespace(o.Namespace).Resource(r.plural).Name(o.Name).
		Body(&metav1.DeleteOptions{PropagationPolicy: &background}).Do(t.Context()).Error()
	if err != nil {
		t.Fatal(err)
	}
}

// object is the object of r of that kind whose name ends so.
func objectNamed(t *testing.T, r agent.Release, kind, end string) agent.Object {
	t.Helper()
	i := slices.IndexFunc(r.Status.Inventory, func(o agent.Object) bool { return o.Kind == kind && strings.HasSuffix(o.Name, end) })
	if i < 0 {
		t.Fatalf("no %s %s among %v", kind, end, r.Status.Inventory)
	}
	return r.Status.Inventory[i]
}

func TestForeignEditsAreFoundAndPutBack(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.release(1)
	r = f.applied(t, f.created(t, r))
	f.awaitObservation(t, r, live)
	f.atPeace(t, r)
	f.quiet(t)
	deployment, service := objectNamed(t, r, "Deployment", "web"), objectNamed(t, r, "Service", "web")
	steps := []struct {
		name   string
		edit   func()
		object agent.Object
		fields []string // beginnings
		by     string
		writes int // 0: one
	}{
		{
			"kubectl scale", func() { f.patch(t, "kubectl", deployment, `{"spec":{"replicas":5}}`, "scale") },
			deployment,
			[]string{"spec.replicas: 5, want 2"},
			"kubectl (scale)", 0,
		},
		{
			"kubectl set image", func() {
				f.patch(t, "kubectl-set", deployment, `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx"}]}}}}`)
			},
			deployment,
			[]string{"spec.template.spec.containers[web].image: nginx, want registry.example.com/shop@sha256:"},
			"kubectl-set", 0,
		},
		{
			"kubectl edit of env", func() {
				f.patch(t, "kubectl-edit", deployment, `{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"PORT","value":"9"}]}]}}}}`)
			},
			deployment,
			[]string{"spec.template.spec.containers[web].env[PORT].value: 9, want 8080"},
			"kubectl-edit", 0,
		},
		{
			"a variable is taken out", func() {
				f.patch(t, "kubectl-edit", deployment, `{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"PORT","$patch":"delete"}]}]}}}}`)
			},
			deployment,
			[]string{"spec.template.spec.containers[web].env"},
			"", 0,
		},
		{
			"another port", func() {
				f.patch(t, "kubectl-edit", service, `{"spec":{"ports":[{"port":80,"$patch":"delete"},{"port":81,"name":"http","targetPort":81}]}}`)
			},
			service,
			[]string{"spec.ports[http].port: 81, want 80", "spec.ports[http].targetPort: 81, want "},
			"kubectl-edit", 4,
		},
		{
			"a label that says whose it is", func() {
				f.patch(t, "kubectl-label", service, `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"me"}}}`)
			},
			service,
			[]string{"metadata.labels[app.kubernetes.io/managed-by]: me, want inhaul"},
			"kubectl-label", 0,
		},
	}
	for _, step := range steps {
		f.requests.take()
		step.edit()
		f.awaitTold(t, r)
		found := f.drifted(t, r, agent.DriftRevert)
		if len(found) != 1 || found[0].Object != step.object || found[0].By != step.by || len(found[0].Fields) != len(step.fields) {
			t.Fatalf("%s: got %+v, want %s of %s by %q", step.name, found, step.fields, step.object.Name, step.by)
		}
		for i, field := range step.fields {
			if !strings.HasPrefix(found[0].Fields[i], field) {
				t.Errorf("%s: got %q, want %q", step.name, found[0].Fields[i], field)
			}
		}
		if err := f.Settle(t.Context(), r, []agent.Object{step.object}, nil); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if sent := writes(f.requests.take()); len(sent) != max(step.writes, 1) {
			t.Errorf("%s: got %d writes, want one: %v", step.name, len(sent), sent)
		}
		f.atPeace(t, r)
	}
	f.awaitObservation(t, r, live)
	f.quiet(t)
}

func TestWhatIsDeletedIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := integration(t)
	installExtensions(t)
	f.putApp(t, `{"gateway":"public","gatewayNamespace":"gateways"}`)
	r := f.everything(1)
	r.App.Predeploy = nil
	r = f.created(t, r)
	f.putSecret(t, r.Namespace, "shop", map[string]string{"REDIS_URL": "redis://redis.example.com"})
	r = f.applied(t, r)
	eventually(t, "all kinds are watched", func() bool {
		return !slices.ContainsFunc(r.Status.Inventory, func(o agent.Object) bool {
			_, watched := f.glanceAt(o)
			return !watched
		})
	})
	f.atPeace(t, r)
	f.quiet(t)
	seen := map[string]bool{}
	for _, o := range r.Status.Inventory {
		if seen[o.Kind] {
			continue
		}
		seen[o.Kind] = true
		f.delete(t, o)
		f.awaitTold(t, r)
		found := f.drifted(t, r, agent.DriftRevert)
		if want := []agent.Drift{{Object: o, Fields: []string{deletedField}}}; !cmp.Equal(want, found) {
			t.Fatalf("got %+v, want %+v", found, want)
		}
		if err := f.Settle(t.Context(), r, []agent.Object{o}, nil); err != nil {
			t.Fatalf("%s: %v", o.Kind, err)
		}
		if !f.exists(t, o) {
			t.Errorf("%s %s is not back", o.Kind, o.Name)
		}
		f.atPeace(t, r)
		f.quiet(t)
	}
	if len(seen) < 11 {
		t.Errorf("got %d kinds: %v", len(seen), seen)
	}
	for _, edit := range []struct{ kind, end, body, field string }{
		{"CronJob", "nightly", `{"spec":{"schedule":"* * * * *"}}`, "spec.schedule: * * * * *, want 0 3 * * *"},
		{"HorizontalPodAutoscaler", "web", `{"spec":{"maxReplicas":50}}`, "spec.maxReplicas: 50, want 5"},
	} {
		o := objectNamed(t, r, edit.kind, edit.end)
		f.patch(t, "kubectl-edit", o, edit.body)
		f.awaitTold(t, r)
		found := f.drifted(t, r, agent.DriftRevert)
		if want := []agent.Drift{{Object: o, Fields: []string{edit.field}, By: "kubectl-edit"}}; !cmp.Equal(want, found) {
			t.Errorf("got %+v, want %+v", found, want)
		}
		if err := f.Settle(t.Context(), r, []agent.Object{o}, nil); err != nil {
			t.Fatal(err)
		}
		f.atPeace(t, r)
	}
}

func TestWhatIsNotManagedIsLeftAlone(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.release(1)
	r.App.Services[1].Scale = spec.Scale{Min: 1, Max: 4, CPU: 70}
	r = f.applied(t, f.created(t, r))
	f.awaitObservation(t, r, live)
	f.quiet(t)
	web, worker := objectNamed(t, r, "Deployment", "web"), objectNamed(t, r, "Deployment", "worker")
	f.patch(t, "kubectl-label", web, `{"metadata":{"labels":{"team":"a"}}}`)
	f.patch(t, "kubectl-rollout", web, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
	for _, replicas := range []string{"3", "2"} {
		f.patch(t, "kube-controller-manager", worker, `{"spec":{"replicas":`+replicas+`}}`, "scale")
	}
	eventually(t, "the cache has seen the edits", func() bool {
		o, _ := f.glanceAt(web)
		return o.GetLabels()["team"] == "a"
	})
	f.atPeace(t, r)
	f.awaitObservation(t, r, live)

	// Nothing of it survives as drift after a release, and nothing makes one red.
	next := f.release(2)
	next.App.Services[1].Scale = r.App.Services[1].Scale
	next = f.deploy(t, next)
	f.atPeace(t, next)

	f.patch(t, "kubectl", worker, `{"spec":{"replicas":0}}`, "scale") // nobody owns a zero
	found := f.drifted(t, next, agent.DriftRevert)
	if want := []agent.Drift{{Object: worker, Fields: []string{"spec.replicas: 0, want 1"}}}; !cmp.Equal(want, found) {
		t.Errorf("scaled out of its bounds: got %+v, want %+v", found, want)
	}
}

func TestReportedDriftIsTakenForWhatItIs(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.applied(t, f.created(t, f.release(1)))
	f.awaitObservation(t, r, live)
	web := objectNamed(t, r, "Deployment", "web")
	f.patch(t, "kubectl", web, `{"spec":{"replicas":3}}`, "scale")
	f.drifted(t, r, agent.DriftReport)
	if err := f.Settle(t.Context(), r, nil, []agent.Object{web}); err != nil {
		t.Fatal(err)
	}
	if found, err := f.Drifted(t.Context(), r, agent.DriftReport, everyObject); err != nil || len(found) > 0 {
		t.Errorf("told again: %v, %v", found, err)
	}
	time.Sleep(1100 * time.Millisecond) // managedFields tell times in whole seconds
	f.patch(t, "kubectl", web, `{"spec":{"replicas":4}}`, "scale")
	if found := f.drifted(t, r, agent.DriftReport); found[0].Fields[0] != "spec.replicas: 4, want 2" {
		t.Errorf("changed again: got %v", found)
	}
	if found := f.drifted(t, r, agent.DriftRevert); len(found) != 1 {
		t.Errorf("after the policy changed: got %v", found)
	}
}

func TestAnotherAgentKnowsWhatWasTouchedMeanwhile(t *testing.T) {
	t.Parallel()
	config, _ := testConfig(t)
	installCRDs(t, config)
	name := testNamespace(t, config)
	config, log := testConfig(t)
	f := start(t, config, log, name)
	r := f.applied(t, f.created(t, f.release(1)))
	f.awaitObservation(t, r, live)
	config, log = testConfig(t)
	f = start(t, config, log, name)
	f.atPeace(t, r) // it has written nothing itself
	f.patch(t, "kubectl-edit", objectNamed(t, r, "Deployment", "web"),
		`{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"PORT","$patch":"delete"}]}]}}}}`)
	f.delete(t, objectNamed(t, r, "NetworkPolicy", "default"))
	f.drifted(t, r, agent.DriftRevert)
	config, log = testConfig(t)
	f = start(t, config, log, name) // all of it happened while no agent ran
	if found := f.drifted(t, r, agent.DriftRevert); len(found) != 2 {
		t.Errorf("got %+v, want the edit and the deletion", found)
	}
}

func TestWhatSomebodyElseHasMadeInItsPlaceIsNotTaken(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.applied(t, f.created(t, f.release(1)))
	service := objectNamed(t, r, "Service", "web")
	f.delete(t, service)
	_, err := f.admin.core.Services(r.Namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: service.Name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}},
	}, metav1.CreateOptions{FieldManager: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if found := f.drifted(t, r, agent.DriftRevert); !strings.Contains(found[0].Refused, "Inhaul did not make it") {
		t.Errorf("got %+v, want a refusal", found)
	}
}

func TestDriftIsToldByDescribe(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.applied(t, f.created(t, f.release(1)))
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r.Status.Drift = []agent.DriftRecord{{
		Drift:  agent.Drift{Object: objectNamed(t, r, "Deployment", "web"), Fields: []string{"spec.replicas: 5, want 2"}, By: "kubectl (scale)"},
		Action: agent.DriftReverted, At: at, Since: at, Times: 1,
	}}
	want := r.Status.Drift
	r, err := f.UpdateRelease(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, r.Status.Drift); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
	eventually(t, "there is an event", func() bool {
		list, err := f.admin.core.Events(r.Namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=Drift"})
		return err == nil && len(list.Items) == 1 && list.Items[0].Type == corev1.EventTypeWarning &&
			list.Items[0].Message == "Deployment shop-web: spec.replicas: 5, want 2; by kubectl (scale): put back"
	})
}

// adminOf is the client of who installed the agent for a kind.
func (f *fixture) adminOf(kind string) rest.Interface {
	for _, r := range f.admin.resources() {
		if r.kind == kind {
			return r.client
		}
	}
	return nil
}
