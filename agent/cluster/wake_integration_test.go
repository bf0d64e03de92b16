package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// TestPreviewSleepsAndWakes with the rights of the agent alone: no pods, no drift, and
// the same objects as before once it is awake.
func TestPreviewSleepsAndWakes(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	r, _ := f.preview(t)
	r = f.created(t, r)
	var err error
	if r.Status.Inventory, err = f.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	f.awaitObservation(t, r, live)
	replicas := func() (all []int32) {
		list, err := f.admin.apps.Deployments(r.Namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list.Items {
			all = append(all, *d.Spec.Replicas)
		}
		return all
	}
	awake := replicas()
	sleeper := r
	sleeper.Asleep = true
	for range 2 { // the second one changes nothing
		inventory, err := f.Apply(t.Context(), sleeper)
		if err != nil || len(inventory) != len(r.Status.Inventory) {
			t.Fatalf("got %d objects and %v, want the %d of before", len(inventory), err, len(r.Status.Inventory))
		}
	}
	for _, n := range replicas() {
		if n != 0 {
			t.Errorf("got %v replicas asleep, want none", replicas())
		}
	}
	found, err := f.Drifted(t.Context(), sleeper, agent.DriftRevert, func(agent.Object) bool { return false })
	if err != nil || len(found) != 0 {
		t.Errorf("got drift %+v and %v, want none: the agent itself scaled it", found, err)
	}
	if _, err := f.admin.apps.Deployments(r.Namespace).Patch(t.Context(), deploymentOf(t, f, r).Name, types.MergePatchType, []byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "who scales a sleeper is seen", func() bool {
		found, err = f.Drifted(t.Context(), sleeper, agent.DriftRevert, func(agent.Object) bool { return false })
		return err == nil && len(found) == 1 && strings.Contains(strings.Join(found[0].Fields, " "), "replicas: 2, want 0")
	})
	if _, err := f.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	f.awaitObservation(t, r, live)
	for i, n := range replicas() {
		if n != awake[i] {
			t.Errorf("got %v replicas awake again, want %v", replicas(), awake)
		}
	}
}

func deploymentOf(t *testing.T, f *fixture, r agent.Release) *appsv1.Deployment {
	t.Helper()
	list, err := f.admin.apps.Deployments(r.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 {
		t.Fatalf("got %v, want a Deployment", err)
	}
	return &list.Items[0]
}

// TestWhoMayWakeMayDoNothingElse is about the role and the policy of
// deploy/preview-wake.yaml.
func TestWhoMayWakeMayDoNothingElse(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	config, _ := testConfig(t)
	applyClusterWide(t, config, "preview-wake.yaml")
	_, p := f.preview(t)
	user := "waker-" + f.namespace
	if err := f.admin.custom.Post().AbsPath("/apis/rbac.authorization.k8s.io/v1/namespaces", f.namespace, "rolebindings").Body([]byte(
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"wake"},
		"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"inhaul-wake"},
		"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"` + user + `"}]}`)).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	config.Impersonate.UserName = user
	waker, err := connect(config)
	if err != nil {
		t.Fatal(err)
	}
	patch := func(kind types.PatchType, body string) error {
		request := waker.custom.Patch(kind).Namespace(f.namespace).Resource(v1alpha1.Previews).Name(previewName(p.Line)).Body([]byte(body))
		if kind == types.ApplyPatchType {
			request = request.Param("fieldManager", "inhaul-wake").Param("force", "true")
		}
		return request.Do(t.Context()).Error()
	}
	tries := 0 // the policy may have been made a moment ago
	eventually(t, "the policy is in force", func() bool {
		tries++
		err := patch(types.MergePatchType, fmt.Sprintf(`{"status":{"message":"mine %d"}}`, tries))
		return err != nil && strings.Contains(err.Error(), "the annotation inhaul.dev/wake")
	})
	for name, body := range map[string]string{
		"status":  `{"status":{"namespace":"kube-system"}}`,
		"labels":  `{"metadata":{"labels":{"x":"y"}}}`,
		"owners":  `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x"}]}}`,
		"held":    `{"metadata":{"finalizers":["example.com/x"]}}`,
		"request": `{"spec":{"pullRequest":8}}`,
	} {
		if err := patch(types.MergePatchType, body); err == nil {
			t.Errorf("%s: got it changed by who may wake", name)
		}
	}
	if err := waker.custom.Delete().Namespace(f.namespace).Resource(v1alpha1.Previews).Name(previewName(p.Line)).Do(t.Context()).Error(); !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want who may wake not to delete", err)
	}
	const at = "2026-11-23T10:00:00.5Z"
	annotated := func(uid string) string {
		return `{"apiVersion":"inhaul.dev/v1alpha1","kind":"Preview","metadata":{"name":"` + previewName(p.Line) + `","namespace":"` + f.namespace + `","uid":"` + uid + `","annotations":{"inhaul.dev/wake":"` + at + `"}}}`
	}
	if err := patch(types.ApplyPatchType, annotated("another")); !apierrors.IsInvalid(err) {
		t.Errorf("got %v, want it refused: it is another preview", err)
	}
	if err := patch(types.ApplyPatchType, annotated(p.UID)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the agent sees it", func() bool {
		got, _ := f.Preview(p.Line)
		return got.WakeAsked.Format(time.RFC3339Nano) == at
	})
	if _, err := f.KeepPreview(t.Context(), p.Line, func(p *agent.Preview) error { p.Turning = true; return nil }); err != nil {
		t.Errorf("writing the record as the agent: %v", err)
	}
	if got, _ := f.Preview(p.Line); !got.Turning || got.WakeAsked.IsZero() {
		t.Errorf("got %+v, want what was asked kept by the agent's own write", got)
	}
}
