package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

// maxRequests is what a deploy of two services may cost: half of what Flux
// sends (54, measured on the same cluster).
const maxRequests = 27

func TestDeployAndRollBack(t *testing.T) {
	t.Parallel()
	f := integration(t)
	first := f.deploy(t, f.release(1))
	second := f.release(2)
	second.App.Services[0].Env = map[string]string{"A": "changed"}
	second = f.deploy(t, second)

	again, err := f.Apply(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second.Status.Inventory, again); diff != "" {
		t.Errorf("inventory of the second time (-want +got):\n%s", diff)
	}
	// Once the cache has caught up, nothing is written at all.
	eventually(t, "applying what is there writes nothing", func() bool {
		f.requests.take()
		if _, err := f.Apply(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		return len(writes(f.requests.take())) == 0
	})

	// Back at once, before any cache can know of what was written last.
	third := f.release(3)
	if _, err := f.Apply(t.Context(), third); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Apply(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	f.awaitObservation(t, first, live)
	if got := f.image(t, first, "shop-web"); got != first.Image {
		t.Errorf("after rolling back: got image %s, want %s", got, first.Image)
	}
}

// deploy takes a release through all its steps and checks their cost.
func (f *fixture) deploy(t *testing.T, r agent.Release) agent.Release {
	t.Helper()
	f.requests.take()
	started := time.Now()
	step := func(r agent.Release, phase agent.Phase) agent.Release {
		r.Status.Phase = phase
		updated, err := f.UpdateRelease(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return updated
	}
	r, err := f.CreateRelease(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	r = step(r, agent.Applying)
	if r.Status.Inventory, err = f.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	applied := time.Since(started)
	r = step(r, agent.RollingOut)
	f.awaitObservation(t, r, live)
	r = step(r, agent.Succeeded)
	r.Status.Reported = []agent.Reported{{Way: agent.WayCheck, Phase: agent.Succeeded, Ready: 2, ID: 7}}
	r = step(r, agent.Succeeded)
	t.Logf("release %d: applied after %v, live after %v", r.Number, applied, time.Since(started))
	eventually(t, "the event of the success is sent", func() bool { return len(f.events.backlog) == 0 })
	sent := f.requests.take()
	deployments := map[string]int{}
	for _, s := range writes(sent) {
		if path, _, _ := strings.Cut(s, "?"); strings.Contains(path, "/deployments/") {
			deployments[path]++
		}
	}
	for path, times := range deployments {
		if times != 1 {
			t.Errorf("%s was written %d times, want once", path, times)
		}
	}
	if len(sent) > maxRequests {
		t.Errorf("release %d: sent %d requests, want at most %d:\n%s", r.Number, len(sent), maxRequests, strings.Join(sent, "\n"))
	}
	t.Logf("release %d: %d requests, %d of them writes", r.Number, len(sent), len(writes(sent)))
	return r
}

func (f *fixture) image(t *testing.T, r agent.Release, name string) string {
	t.Helper()
	d, err := f.clients.apps.Deployments(r.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d.Spec.Template.Spec.Containers[0].Image
}

func TestUnchangedServiceDoesNotRoll(t *testing.T) {
	t.Parallel()
	f := integration(t)
	first := f.deploy(t, f.release(1))
	before := f.awaitObservation(t, first, live)
	second := f.release(2)
	second.Image = first.Image
	second = f.deploy(t, second)
	after := f.awaitObservation(t, second, live)
	if diff := cmp.Diff(before.Services[0].Pods, after.Services[0].Pods); diff != "" {
		t.Errorf("the pods changed:\n%s", diff)
	}
}

func TestRejectedWritesNothing(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.release(1)
	r.App.Services[1].Env = map[string]string{"not a key": "password=hunter2"}
	if _, err := f.CreateRelease(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	f.requests.take()
	_, err := f.Apply(t.Context(), r)
	var rejected *agent.Rejected
	if !errors.As(err, &rejected) || rejected.Object.Kind != "ConfigMap" || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want a rejected ConfigMap without its values", err)
	}
	if sent := writes(f.requests.take()); len(sent) != 0 {
		t.Errorf("written: %v", sent)
	}
	t.Log(err)

	r.App.Services = []spec.Service{{Name: "a_b", Type: spec.Worker, CPU: "1", Memory: "1Gi"}, {Name: "a-b", Type: spec.Worker, CPU: "1", Memory: "1Gi"}}
	if _, err := f.Apply(t.Context(), r); !errors.As(err, &rejected) {
		t.Errorf("what cannot be rendered: got %v, want Rejected", err)
	}
}

func TestApplyLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.release(1)
	if _, err := f.CreateRelease(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	foreign := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-web"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
	if _, err := f.clients.core.Services(r.Namespace).Create(t.Context(), foreign, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.requests.take()
	var rejected *agent.Rejected
	if _, err := f.Apply(t.Context(), r); !errors.As(err, &rejected) || rejected.Object.Kind != "Service" {
		t.Errorf("somebody else's Service: got %v, want Rejected", err)
	}
	if sent := writes(f.requests.take()); len(sent) != 0 {
		t.Errorf("written: %v", sent)
	}
	left, err := f.Prune(t.Context(), r, []agent.Object{{APIVersion: "v1", Kind: "Service", Namespace: r.Namespace, Name: "shop-web"}}, nil)
	if err != nil || len(left) != 0 {
		t.Errorf("pruning it: got %v, %v", left, err)
	}
	if _, err := f.clients.core.Services(r.Namespace).Get(t.Context(), "shop-web", metav1.GetOptions{}); err != nil {
		t.Errorf("somebody else's Service is gone: %v", err)
	}

	// Another app of the same namespace, whose service has the same full name.
	other := f.release(1)
	other.Line.App, other.App.Services = "shop-web", []spec.Service{{Name: "x", Type: spec.Worker, CPU: "1m", Memory: "1Mi", Replicas: 1}}
	if _, err := f.Apply(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other app's Deployment is in the cache", func() bool { return f.cached("Deployment", r.Namespace, "shop-web-x") != nil })
	r.App.Services = []spec.Service{{Name: "web-x", Type: spec.Worker, CPU: "1m", Memory: "1Mi", Replicas: 1}}
	if _, err := f.Apply(t.Context(), r); !errors.As(err, &rejected) || !strings.Contains(rejected.Message, `of app "shop-web"`) {
		t.Errorf("another app's Deployment: got %v, want Rejected", err)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.deploy(t, f.release(1))
	kept := r.Status.Inventory[:1]
	left, err := f.Prune(t.Context(), r, r.Status.Inventory, kept)
	if err != nil || len(left) != 0 {
		t.Fatalf("got %v, %v; want every deletion confirmed", left, err)
	}
	// The ConfigMaps may still be in the cache, but must be made again.
	if _, err := f.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	f.awaitObservation(t, r, live)
	maps, err := f.clients.core.ConfigMaps(r.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: render.LabelApp + "=shop"})
	if err != nil || len(maps.Items) != 2 {
		t.Errorf("got %d ConfigMaps, %v; want 2", len(maps.Items), err)
	}
	for range 2 { // what is gone already is confirmed too
		if left, err := f.Prune(t.Context(), r, r.Status.Inventory, nil); err != nil || len(left) != 0 {
			t.Errorf("got %v, %v", left, err)
		}
	}

	// A deletion that waits for a finalizer is not confirmed.
	name := r.Status.Inventory[0]
	if _, err := f.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	finalize := func(finalizers string) {
		_, err := f.clients.networking.NetworkPolicies(r.Namespace).Patch(t.Context(), name.Name, types.MergePatchType,
			fmt.Appendf(nil, `{"metadata":{"finalizers":%s}}`, finalizers), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	finalize(`["example.com/hold"]`)
	if left, err := f.Prune(t.Context(), r, []agent.Object{name}, nil); err != nil || len(left) != 1 {
		t.Errorf("held by a finalizer: got %v, %v; want it left", left, err)
	}
	finalize(`null`)
	eventually(t, "it is gone", func() bool {
		left, err := f.Prune(t.Context(), r, []agent.Object{name}, nil)
		return err == nil && len(left) == 0
	})
}

func TestNamespaceIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.release(1)
	if err := f.ensureNamespace(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := f.clients.core.Namespaces().Delete(t.Context(), r.Namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace is gone", func() bool {
		_, err := f.clients.core.Namespaces().Get(t.Context(), r.Namespace, metav1.GetOptions{})
		return err != nil
	})
	if _, err := f.CreateRelease(t.Context(), r); err != nil {
		t.Errorf("creating a release: %v", err)
	}
}

// TestFailuresAreSeen lets kwok's pods fail, where the cluster has them.
func TestFailuresAreSeen(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fail string
		want func(agent.ContainerObservation) bool
	}{
		{"ImagePullBackOff", func(c agent.ContainerObservation) bool { return c.Waiting == "ImagePullBackOff" && c.Message != "" }},
		{"CrashLoopBackOff", func(c agent.ContainerObservation) bool { return c.Ended >= 1 && c.ExitCode != 0 }},
	} {
		t.Run(test.fail, func(t *testing.T) {
			t.Parallel()
			f := integration(t)
			nodes, err := f.clients.core.Nodes().List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(nodes.Items) == 0 || !strings.HasPrefix(nodes.Items[0].Status.NodeInfo.KubeletVersion, "kwok") {
				if os.Getenv("INHAUL_NO_SKIP") == "1" {
					t.Fatal("the cluster has no kwok nodes, and nothing may be skipped here")
				}
				t.Skip("SKIP: the cluster has no kwok nodes, whose pods fail on demand")
			}
			r := f.deploy(t, f.release(1))
			_, err = f.clients.apps.Deployments(r.Namespace).Patch(t.Context(), "shop-web", types.MergePatchType,
				fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"lab/fail":%q}}}}}`, test.fail), metav1.PatchOptions{})
			if err != nil {
				t.Fatal(err)
			}
			o := f.awaitObservation(t, r, func(o agent.Observation) bool {
				s := o.Services[0]
				return s.Old > 0 && len(s.Pods) > 0 && len(s.Pods[0].Containers) > 0 && test.want(s.Pods[0].Containers[0])
			})
			pod := o.Services[0].Pods[0]
			// The scheduler writes its events behind what it does.
			eventually(t, "the scheduler's event is told", func() bool {
				events := f.Testimony(t.Context(), r, agent.Cause{Kind: agent.CauseNotReady, Pod: pod.Name, Container: pod.Containers[0].Name}).Events
				return strings.Contains(strings.Join(events, "\n"), "Scheduled")
			})
		})
	}
}

func TestLead(t *testing.T) {
	t.Parallel()
	f := integration(t)
	type turn struct {
		who   string
		begin bool
	}
	turns := make(chan turn, 8)
	lead := func(ctx context.Context, who string) chan error {
		ended := make(chan error, 1)
		go func() {
			ended <- f.Lead(ctx, who, func(ctx context.Context) {
				turns <- turn{who, true}
				<-ctx.Done()
				time.Sleep(300 * time.Millisecond) // winding down: nobody else may lead yet
				turns <- turn{who, false}
			})
		}()
		return ended
	}
	firstCtx, stopFirst := context.WithCancel(t.Context())
	first := lead(firstCtx, "first")
	if got := <-turns; got != (turn{"first", true}) {
		t.Fatalf("got %v", got)
	}
	secondCtx, stopSecond := context.WithCancel(t.Context())
	second := lead(secondCtx, "second")
	stopFirst()
	for _, want := range []turn{{"first", false}, {"second", true}} {
		if got := <-turns; got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if err := <-first; err != nil {
		t.Errorf("first: %v", err)
	}

	// Somebody takes the lease away.
	_, err := f.clients.leases.Leases(f.namespace).Patch(t.Context(), leaseName, types.MergePatchType,
		[]byte(`{"spec":{"holderIdentity":"thief","leaseDurationSeconds":3600,"renewTime":"`+time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z")+`"}}`),
		metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := <-turns; got != (turn{"second", false}) {
		t.Errorf("got %v", got)
	}
	if err := <-second; !errors.Is(err, ErrLeaseLost) {
		t.Errorf("second: got %v, want ErrLeaseLost", err)
	}
	stopSecond()
}
