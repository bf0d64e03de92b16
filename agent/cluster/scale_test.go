package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

func TestKeepScale(t *testing.T) {
	t.Parallel()
	running := func(replicas int32) *appsv1.Deployment {
		return &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &replicas}}
	}
	tests := map[string]struct {
		bounds string
		live   *appsv1.Deployment
		want   int64
	}{
		"a busy service keeps its pods":            {"2-10", running(7), 7},
		"more than is allowed now":                 {"2-5", running(7), 5},
		"fewer than are wanted now":                {"3-5", running(1), 3},
		"stopped by hand":                          {"2-5", running(0), 2},
		"asleep, and may be":                       {"0-5", running(0), 0},
		"the first release":                        {"2-10", nil, 2},
		"a Deployment that says nothing":           {"2-10", &appsv1.Deployment{}, 2},
		"a service of a fixed number":              {"", running(7), 2},
		"an annotation that somebody has made up":  {"many", running(7), 2},
		"an annotation with half of what it needs": {"2-", running(7), 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": int64(2)}}}
			if test.bounds != "" {
				u.SetAnnotations(map[string]string{render.AnnotationScale: test.bounds})
			}
			if err := keepScale(u, test.live); err != nil {
				t.Fatal(err)
			}
			if got, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas"); got != test.want {
				t.Errorf("got %d replicas, want %d", got, test.want)
			}
		})
	}
}

func TestStaleScalers(t *testing.T) {
	t.Parallel()
	o := func(kind, name string) agent.Object { return agent.Object{Kind: kind, Namespace: "shop", Name: name} }
	recorded := []agent.Object{
		o("Deployment", "shop-web"), o("HorizontalPodAutoscaler", "shop-web"), o("HorizontalPodAutoscaler", "shop-worker"),
		o("ScaledObject", "shop-mail"), o("TriggerAuthentication", "shop-mail"), o("HorizontalPodAutoscaler", "shop-web"),
	}
	current := []agent.Object{o("HorizontalPodAutoscaler", "shop-worker"), o("HorizontalPodAutoscaler", "shop-mail")}
	want := []agent.Object{o("HorizontalPodAutoscaler", "shop-web"), o("ScaledObject", "shop-mail")}
	if diff := cmp.Diff(want, staleScalers(recorded, current)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
