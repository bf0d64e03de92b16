package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/spec"
)

// previewing is a fixture with the rights of the agent, whose App has previews.
func previewing(t *testing.T) *fixture {
	t.Helper()
	f, name := asAgent(t, "preview-admission.yaml")
	eventually(t, "the policy is in force", func() bool { // it may have been made a moment ago
		err := f.clients.core.Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && strings.Contains(err.Error(), "inhaul-namespace")
	})
	f.putPreviews(t, `{"namespace":"`+name+`-pr-{number}","host":"pr-{number}.{app}.preview.example.com","quota":{"cpu":"2","pods":5}}`)
	t.Cleanup(func() {
		for _, number := range []string{"7", "8"} {
			_ = f.admin.core.Namespaces().Delete(context.WithoutCancel(t.Context()), name+"-pr-"+number, metav1.DeleteOptions{}) // best effort
		}
	})
	return f
}

func (f *fixture) putPreviews(t *testing.T, previews string) {
	t.Helper()
	body := fmt.Sprintf(`{"apiVersion":"inhaul.dev/v1alpha1","kind":"App","metadata":{"name":"shop"},"spec":{"intents":"x","images":["x"],
		"signers":[{"issuer":"https://x"}],"environments":[{"name":"production","namespace":"x"}],"previews":%s}}`, previews)
	err := f.admin.custom.Patch(types.ApplyPatchType).Namespace(f.namespace).Resource(v1alpha1.Apps).Name("shop").
		Param("fieldManager", "test").Param("force", "true").Body([]byte(body)).Do(t.Context()).Error()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the App is in the cache", func() bool { apps := f.Apps(); return len(apps) == 1 && apps[0].PreviewPolicy != nil })
}

// preview is a release of pull request 7, and the record of its preview.
func (f *fixture) preview(t *testing.T) (agent.Release, agent.Preview) {
	t.Helper()
	r := f.release(1)
	r.Line.Environment, r.Namespace = "pr-7", f.namespace+"-pr-7"
	p, err := f.KeepPreview(t.Context(), r.Line, func(p *agent.Preview) error {
		p.Phase, p.Namespace, p.Repository, p.CreatedAt = agent.PreviewActive, r.Namespace, "acme/shop", time.Now()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, p
}

// TestPreviewComesAndGoes makes a preview and takes it away, with the rights of the
// agent alone.
func TestPreviewComesAndGoes(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	r, p := f.preview(t)
	r.App.Services[1] = spec.Service{Name: "admin", Type: spec.Web, Port: 8080, Replicas: 1, CPU: "10m", Memory: "16Mi"}
	r = f.created(t, r)
	var err error
	if r.Status.Inventory, err = f.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	f.awaitObservation(t, r, live)

	space, err := f.admin.core.Namespaces().Get(t.Context(), r.Namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]string{
		render.LabelManagedBy: render.Manager, render.LabelApp: "shop", render.LabelEnvironment: "pr-7", render.LabelPullRequest: "7", render.LabelPreview: p.UID,
	} {
		if got := space.Labels[label]; got != want || want == "" {
			t.Errorf("label %s: got %q, want %q", label, got, want)
		}
	}
	f.checkRails(t, r.Namespace)
	ingresses, err := f.admin.networking.Ingresses(r.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[string]string{}
	for _, ingress := range ingresses.Items {
		hosts[ingress.Name] = ingress.Spec.Rules[0].Host
	}
	if want := map[string]string{"shop-web": "pr-7.shop.preview.example.com", "shop-admin": "admin-pr-7.shop.preview.example.com"}; !maps.Equal(hosts, want) {
		t.Errorf("got hosts %v, want %v", hosts, want)
	}
	if secrets, err := f.admin.core.Secrets(r.Namespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(secrets.Items) != 0 {
		t.Errorf("got %d Secrets, %v; want none", len(secrets.Items), err)
	}
	f.takeAway(t, r, p)
}

// takeAway deletes the namespace of p, and makes it anew.
func (f *fixture) takeAway(t *testing.T, r agent.Release, p agent.Preview) {
	t.Helper()
	p = f.setPhase(t, p, agent.PreviewDestroying)
	if _, err := f.CreateRelease(t.Context(), r); err == nil || !strings.Contains(err.Error(), "taken away") {
		t.Errorf("deploying meanwhile: got %v, want it refused", err)
	}
	left, err := f.DeleteNamespace(t.Context(), p)
	if err != nil || left == "" {
		t.Errorf("got %q, %v; want to be told that it takes a moment", left, err)
	}
	eventually(t, "the namespace is gone", func() bool {
		left, err := f.DeleteNamespace(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return left == ""
	})
	eventually(t, "its releases are gone", func() bool { return len(f.Releases(r.Line)) == 0 })
	p = f.setPhase(t, p, agent.PreviewDestroyed)
	if apps := f.Apps(); len(apps[0].Environments) != 1 || len(apps[0].Previews) != 1 {
		t.Errorf("got environments %v and %d previews, want the declared one and a record", apps[0].Environments, len(apps[0].Previews))
	}
	p = f.setPhase(t, p, agent.PreviewActive)
	r.Number = 2
	r = f.created(t, r)
	f.checkRails(t, r.Namespace)
	p = f.setPhase(t, p, agent.PreviewDestroyed)
	if err := f.ForgetPreview(t.Context(), p); err != nil {
		t.Error(err)
	}
	if _, found := f.Preview(p.Line); found {
		t.Error("the record is there still, at once after it was forgotten")
	}
}

func (f *fixture) setPhase(t *testing.T, p agent.Preview, phase agent.PreviewPhase) agent.Preview {
	t.Helper()
	p, err := f.KeepPreview(t.Context(), p.Line, func(p *agent.Preview) error { p.Phase = phase; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fixture) checkRails(t *testing.T, namespace string) {
	t.Helper()
	quota, err := f.admin.core.ResourceQuotas(namespace).Get(t.Context(), render.PreviewRails, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[corev1.ResourceName]string{corev1.ResourceRequestsCPU: "2", corev1.ResourceRequestsMemory: "8Gi", corev1.ResourceLimitsMemory: "8Gi", corev1.ResourcePods: "5"} {
		if got := quota.Spec.Hard[name]; got.String() != want {
			t.Errorf("quota of %s: got %s, want %s", name, got.String(), want)
		}
	}
	if _, err := f.admin.core.LimitRanges(namespace).Get(t.Context(), render.PreviewRails, metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	deny, err := f.admin.networking.NetworkPolicies(namespace).Get(t.Context(), render.PreviewRails, metav1.GetOptions{})
	if err != nil || len(deny.Spec.Ingress) != 0 || len(deny.Spec.PodSelector.MatchLabels) != 0 {
		t.Errorf("got policy %+v, %v; want one that lets nothing in to any pod", deny, err)
	}
	if err == nil && (!slices.Contains(deny.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) || len(deny.Spec.Egress) == 0) {
		t.Errorf("got policy %+v, want one about what goes out too", deny.Spec)
	}
	// A pod that says nothing of itself fits: it is admitted.
	_, err = f.admin.core.Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "silent"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "x"}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil && !strings.Contains(err.Error(), "serviceaccount") {
		t.Errorf("a pod without requests: %v", err)
	}
}

// TestRailsFollowTheApp has an agent that put the rails up already.
func TestRailsFollowTheApp(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	r, _ := f.preview(t)
	r = f.created(t, r)
	for _, row := range []struct {
		egress string
		rules  int
	}{{`{"allow":["10.20.0.0/16"]}`, 4}, {`{"open":true}`, 0}, {`{"open":false}`, 3}} {
		f.putPreviews(t, `{"namespace":"`+f.namespace+`-pr-{number}","egress":`+row.egress+`}`)
		eventually(t, "the rails are those of "+row.egress, func() bool {
			if err := f.ensureNamespace(t.Context(), r); err != nil { // as each deploy does
				t.Fatal(err)
			}
			walls, err := f.admin.networking.NetworkPolicies(r.Namespace).Get(t.Context(), render.PreviewRails, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return len(walls.Spec.Egress) == row.rules && slices.Contains(walls.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) == (row.rules > 0)
		})
	}
}

func TestNamespaceThatIsNotThePreviews(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	r, p := f.preview(t)
	mine := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.Namespace, Labels: map[string]string{render.LabelManagedBy: render.Manager, render.LabelApp: "shop", render.LabelEnvironment: "pr-7"}}}
	if _, err := f.admin.core.Namespaces().Create(t.Context(), mine, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := f.CreateRelease(t.Context(), r)
	if rejected := (*agent.Rejected)(nil); !errors.As(err, &rejected) || rejected.Object.Kind != "Namespace" || !strings.Contains(rejected.Message, "did not make it") {
		t.Errorf("deploying into it: got %v, want it refused", err)
	}
	if left, err := f.DeleteNamespace(t.Context(), p); !errors.Is(err, agent.ErrForeign) || left != "" {
		t.Errorf("deleting it: got %q, %v; want that it is not the preview's", left, err)
	}
	there, err := f.admin.core.Namespaces().Get(t.Context(), r.Namespace, metav1.GetOptions{})
	if err != nil || there.DeletionTimestamp != nil || !maps.Equal(there.Labels, withName(mine)) {
		t.Errorf("got %+v, %v; want it untouched", there.ObjectMeta, err)
	}
	for what, err := range map[string]error{
		"delete it": f.clients.core.Namespaces().Delete(t.Context(), r.Namespace, metav1.DeleteOptions{}),
		"make it the preview's": func() error {
			body := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, render.LabelPreview, p.UID)
			_, err := f.clients.core.Namespaces().Patch(t.Context(), r.Namespace, types.MergePatchType, body, metav1.PatchOptions{})
			return err
		}(),
	} {
		if err == nil || !strings.Contains(err.Error(), "inhaul-namespace") {
			t.Errorf("an agent that wants to %s: got %v, want it denied", what, err)
		}
	}
}

func withName(n *corev1.Namespace) map[string]string {
	labels := maps.Clone(n.Labels)
	labels[corev1.LabelMetadataName] = n.Name
	return labels
}

// TestNamespaceThatDoesNotEnd is held by somebody's finalizer.
func TestNamespaceThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	r, p := f.preview(t)
	r = f.created(t, r)
	holds := func(finalizers string) {
		_, err := f.admin.core.ConfigMaps(r.Namespace).Patch(t.Context(), "held", types.ApplyPatchType,
			[]byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"held","finalizers":`+finalizers+`}}`), metav1.PatchOptions{FieldManager: "test"})
		if err != nil {
			t.Fatal(err)
		}
	}
	holds(`["example.com/held"]`)
	eventually(t, "the agent is told what holds it", func() bool {
		left, err := f.DeleteNamespace(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(left, "example.com/held")
	})
	holds(`[]`)
	eventually(t, "it ends", func() bool {
		left, err := f.DeleteNamespace(t.Context(), p)
		return err == nil && left == ""
	})
}

func TestMarksOfPreviewsAreTheirOwn(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	_, p := f.preview(t)
	at := time.Now().UTC().Truncate(time.Microsecond)
	err := f.UpdateApp(t.Context(), "shop", func(s *agent.AppStatus) {
		i := slices.IndexFunc(s.Lines, func(m agent.LineMarks) bool { return m.Environment == "pr-7" })
		s.Lines[i].LastNumber, s.Lines[i].LastIssuedAt, s.Lines[i].Workflows = 3, at, map[string]int64{"x": 5}
		s.Problem = "none"
	})
	if err != nil {
		t.Fatal(err)
	}
	var app v1alpha1.App
	if err := f.admin.custom.Get().Namespace(f.namespace).Resource(v1alpha1.Apps).Name("shop").Do(t.Context()).Into(&app); err != nil || len(app.Status.Lines) != 0 || app.Status.Problem != "none" {
		t.Errorf("got status %+v, %v; want no line of a preview in it", app.Status, err)
	}
	if p, _ = f.Preview(p.Line); p.Marks.LastNumber != 3 || !p.Marks.LastIssuedAt.Equal(at) || p.Marks.Workflows["x"] != 5 {
		t.Errorf("got marks %+v", p.Marks)
	}
	// Two who write at once: the second decides anew.
	stale := &v1alpha1.Preview{}
	if err := f.admin.custom.Get().Namespace(f.namespace).Resource(v1alpha1.Previews).Name("shop-pr-7").Do(t.Context()).Into(stale); err != nil {
		t.Fatal(err)
	}
	stale.Labels["keep"] = "yes"
	if err := f.admin.custom.Put().Namespace(f.namespace).Resource(v1alpha1.Previews).Name("shop-pr-7").Body(stale).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.KeepPreview(t.Context(), p.Line, func(p *agent.Preview) error { p.Comment = 9; return nil }); err != nil {
		t.Fatal(err)
	}
	kept := &v1alpha1.Preview{}
	err = f.admin.custom.Get().Namespace(f.namespace).Resource(v1alpha1.Previews).Name("shop-pr-7").Do(t.Context()).Into(kept)
	if err != nil || kept.Labels["keep"] != "yes" || kept.Status.Comment != 9 || kept.Status.Marks.LastNumber != 3 {
		t.Errorf("got %+v, %v; want both changes", kept, err)
	}
}

// TestSchemaOfPreviews tries what the schema must not take.
func TestSchemaOfPreviews(t *testing.T) {
	t.Parallel()
	f := integration(t)
	try := func(environment, previews string) error {
		body := `{"apiVersion":"inhaul.dev/v1alpha1","kind":"App","metadata":{"name":"shop"},"spec":{"intents":"x","images":["x"],
			"signers":[{"issuer":"https://x"}],"environments":[{"name":"` + environment + `","namespace":"x"}],"previews":` + previews + `}}`
		return f.admin.custom.Patch(types.ApplyPatchType).Namespace(f.namespace).Resource(v1alpha1.Apps).Name("shop").
			Param("fieldManager", "test").Param("dryRun", metav1.DryRunAll).Body([]byte(body)).Do(t.Context()).Error()
	}
	for previews, want := range map[string]string{
		`{}`: "",
		`{"namespace":"{app}-pr-{number}","host":"pr-{number}.{app}.example.com","quota":{"cpu":"500m","memory":"1Gi"},"max":3,"drift":"report"}`: "",
		`{"namespace":"shop-previews"}`: "{number}",
		`{"group":"store","namespace":"{group}-{number}","host":"pr-{number}.{group}.example.com"}`: "",
		`{"group":"store","namespace":"{app}-{number}"}`:                                            "no {app} in it",
		`{"group":"store"}`:                          "",
		`{"host":"pr-{number}.{group}.example.com"}`: "needs a group",
		`{"namespace":"kube-{number}"}`:              "Kubernetes itself",
		`{"namespace":"Shop-{number}"}`:              "namespace",
		`{"namespace":"shop-{number}-"}`:             "dash",
		`{"namespace":"{env}-{number}"}`:             "namespace",
		`{"host":"preview.example.com"}`:             "{number}",
		`{"host":"https://x.{number}.y"}`:            "host",
		`{"quota":{"cpu":"many"}}`:                   "cpu",
		`{"max":0}`:                                  "max",
		`{"routing":{"gatewayNamespace":"x"}}`:       "needs gateway",
	} {
		switch err := try("production", previews); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", previews, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want it refused for %q", previews, err, want)
		}
	}
	if err := try("pr-7", `{}`); err == nil || !strings.Contains(err.Error(), "cannot be declared") {
		t.Errorf("an environment that looks like a preview: got %v", err)
	}
}
