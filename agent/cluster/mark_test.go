package cluster

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent/render"
)

// deployed is a Deployment as a release leaves it; scale is "" for a fixed number
// of pods.
func deployed(scale string, replicas int32) *appsv1.Deployment {
	d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &replicas}}
	if scale != "" {
		d.Annotations = map[string]string{render.AnnotationScale: scale}
	}
	own := `{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:replicas":{},"f:template":{}}}`
	d.ManagedFields = []metav1.ManagedFieldsEntry{
		{Manager: render.Manager, Operation: "Apply", FieldsV1: metav1.NewFieldsV1(own)},
		{Manager: "kube-controller-manager", Subresource: "status", FieldsV1: metav1.NewFieldsV1(`{"f:status":{}}`)},
	}
	return d
}

func stranger(manager, subresource, fields string, second int) metav1.ManagedFieldsEntry {
	at := metav1.NewTime(time.Date(2026, 11, 24, 0, 0, second, 0, time.UTC))
	return metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, Operation: "Update", Time: &at, FieldsV1: metav1.NewFieldsV1(fields)}
}

func TestMarkOf(t *testing.T) {
	t.Parallel()
	takeReplicas := func(d *appsv1.Deployment, by string, second int) {
		d.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:template":{}}}`)
		d.ManagedFields = append(d.ManagedFields, stranger(by, "scale", `{"f:spec":{"f:replicas":{}}}`, second))
	}
	tests := map[string]struct {
		before, after *appsv1.Deployment
		change        func(*appsv1.Deployment)
		own, foreign  bool // change
	}{
		"status": {before: deployed("", 2), after: deployed("", 2), change: func(d *appsv1.Deployment) {
			d.ResourceVersion, d.Status.Replicas = "7", 2
			d.ManagedFields[1] = stranger("kube-controller-manager", "status", `{"f:status":{"f:replicas":{}}}`, 9)
		}},
		"a field that no release sets": {before: deployed("", 2), after: deployed("", 2), change: func(d *appsv1.Deployment) {
			d.ManagedFields = append(d.ManagedFields, stranger("kubectl", "", `{"f:metadata":{"f:labels":{"f:team":{}}}}`, 1))
		}, foreign: true},
		"a field taken": {before: deployed("", 2), after: deployed("", 5), change: func(d *appsv1.Deployment) {
			takeReplicas(d, "kubectl", 1)
		}, own: true, foreign: true},
		"an autoscaler within its bounds": {before: deployed("2-5", 2), after: deployed("2-5", 5), change: func(d *appsv1.Deployment) {
			d.Generation++
			takeReplicas(d, "kube-controller-manager", 1)
		}},
		"outside of them": {before: deployed("2-5", 2), after: deployed("2-5", 0), change: func(d *appsv1.Deployment) {
			takeReplicas(d, "kubectl", 1)
		}, own: true},
		"made anew by somebody else": {before: deployed("", 2), after: deployed("", 2), change: func(d *appsv1.Deployment) {
			d.ManagedFields = []metav1.ManagedFieldsEntry{stranger("kubectl", "", `{"f:spec":{}}`, 1)}
		}, own: true, foreign: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.change(test.after)
			before, after := markOf(test.before), markOf(test.after)
			if (before.own != after.own) != test.own || (before.foreign != after.foreign) != test.foreign {
				t.Errorf("got %+v, then %+v; want own to change: %t, foreign: %t", before, after, test.own, test.foreign)
			}
			keepMark(test.after)
			keepMark(test.after)
			if got := markOf(test.after); got != after {
				t.Errorf("kept: got %+v, want %+v", got, after)
			}
		})
	}
}

func TestTrimKeepsWhatItKeepsWhenItIsDoneTwice(t *testing.T) {
	t.Parallel()
	d := deployed("", 2)
	want := markOf(d)
	for range 2 {
		o, err := trim(d)
		if err != nil {
			t.Fatal(err)
		}
		if got := markOf(o.(metav1.Object)); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
