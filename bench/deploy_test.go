package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	releases    = schema.GroupVersionResource{Group: "inhaul.dev", Version: "v1alpha1", Resource: "releases"}
	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

const (
	// pollInterval is what the agent chooses for one app; intents are published evenly over it.
	pollInterval  = time.Second
	deployTimeout = 60 * time.Second
)

// moments of one change of a Deployment, by the clock of who watches.
type moments struct{ updated, ready time.Time }

// BenchmarkDeploy is a published intent until the object is in the API server,
// its pods are Ready, and the verdict is durable.
//
//	updated   publish → the Deployment is written (half of the poll interval is waiting)
//	ready     written → every new pod Ready, the old ones gone
//	verdict   Ready → the verdict is in the API server
func BenchmarkDeploy(b *testing.B) {
	l := newLab(b)
	if _, err := l.deploy(b.Context()); err != nil { // the first one makes the namespace
		b.Fatal(err)
	}
	var updated, ready, verdict series
	for b.Loop() {
		time.Sleep(rand.N(pollInterval))
		d, err := l.deploy(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		updated.add(d.updated.Sub(d.published))
		ready.add(d.ready.Sub(d.updated))
		verdict.add(d.verdict.Sub(d.ready))
	}
	updated.report(b, "updated")
	ready.report(b, "ready")
	verdict.report(b, "verdict")
	b.ReportMetric(agentMemory(b)/(1<<20), "agent-MiB")
}

// BenchmarkFloor is the same change of the same Deployment by one server-side
// apply of a warm client: what the cluster itself needs.
func BenchmarkFloor(b *testing.B) {
	l := newLab(b)
	if err := l.makeNamespace(b.Context(), "bench-floor"); err != nil {
		b.Fatal(err)
	}
	change := func() (time.Time, moments) {
		l.runs++
		version := fmt.Sprint(l.runs)
		seen, stop := l.watchDeployment(b, "bench-floor", "floor", version)
		defer stop()
		began := time.Now()
		if err := l.applyFloor(b.Context(), version); err != nil {
			b.Fatal(err)
		}
		return began, <-seen
	}
	change()
	var updated, ready series
	for b.Loop() {
		began, m := change()
		if m.ready.IsZero() {
			b.Fatal("the Deployment was not ready in time")
		}
		updated.add(m.updated.Sub(began))
		ready.add(m.ready.Sub(m.updated))
	}
	updated.report(b, "updated")
	ready.report(b, "ready")
}

type deployed struct {
	published, verdict time.Time
	moments
}

func (l *lab) deploy(ctx context.Context) (deployed, error) {
	ctx, cancel := context.WithTimeout(ctx, deployTimeout)
	defer cancel()
	before := fmt.Sprintf("%040x", l.runs+1)
	watching, err := l.client.Resource(releases).Namespace(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return deployed{}, err
	}
	defer watching.Stop()
	pods, err := l.client.Resource(deployments).Namespace(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return deployed{}, err
	}
	defer pods.Stop()
	commit, published, err := l.publish(ctx)
	if err != nil {
		return deployed{}, err
	}
	if commit != before {
		return deployed{}, fmt.Errorf("published %s, want %s", commit, before)
	}
	d := deployed{published: published}
	for d.verdict.IsZero() || d.ready.IsZero() {
		select {
		case <-ctx.Done():
			return d, fmt.Errorf("waiting for the deploy of %s: %w", commit, ctx.Err())
		case event := <-pods.ResultChan():
			d.note(event, "inhaul.dev/commit", commit)
		case event := <-watching.ResultChan():
			o, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				return d, fmt.Errorf("watching releases: %v", event.Object)
			}
			if got, _, _ := unstructured.NestedString(o.Object, "spec", "source", "commit"); got != commit {
				continue
			}
			switch phase, _, _ := unstructured.NestedString(o.Object, "status", "phase"); phase {
			case "Succeeded":
				d.verdict = time.Now()
			case "Failed", "RolledBack", "Superseded":
				return d, fmt.Errorf("release of %s: %s", commit, phase)
			}
		}
	}
	return d, nil
}

// note takes down what a Deployment with that annotation shows.
func (m *moments) note(event watch.Event, annotation, value string) {
	o, ok := event.Object.(*unstructured.Unstructured)
	if !ok || o.GetAnnotations()[annotation] != value {
		return
	}
	if m.updated.IsZero() {
		m.updated = time.Now()
	}
	number := func(fields ...string) int64 {
		n, _, _ := unstructured.NestedInt64(o.Object, fields...)
		return n
	}
	want := number("spec", "replicas")
	if m.ready.IsZero() && number("status", "observedGeneration") == o.GetGeneration() && number("status", "updatedReplicas") == want &&
		number("status", "readyReplicas") == want && number("status", "replicas") == want {
		m.ready = time.Now()
	}
}

// watchDeployment delivers the moments of a change once its pods are ready, or
// what it saw of it when time is up.
func (l *lab) watchDeployment(b *testing.B, namespace, name, version string) (<-chan moments, func()) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), deployTimeout)
	watching, err := l.client.Resource(deployments).Namespace(namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		cancel()
		b.Fatal(err)
	}
	done := make(chan moments, 1)
	go func() {
		var m moments
		for event := range watching.ResultChan() {
			if m.note(event, "bench/version", version); !m.ready.IsZero() {
				break
			}
		}
		done <- m
	}()
	return done, func() { cancel(); watching.Stop() }
}

func (l *lab) makeNamespace(ctx context.Context, name string) error {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
	_, err := l.client.Resource(namespaces).Create(ctx, o, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (l *lab) applyFloor(ctx context.Context, version string) error {
	labels := map[string]any{"app": "floor"}
	o := map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "floor", "annotations": map[string]any{"bench/version": version}},
		"spec": map[string]any{
			"replicas": 3,
			"selector": map[string]any{"matchLabels": labels},
			"strategy": map[string]any{"rollingUpdate": map[string]any{"maxUnavailable": 0, "maxSurge": "25%"}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": labels},
				"spec": map[string]any{"containers": []any{map[string]any{
					"name": "web", "image": l.image(l.runs),
					"resources": map[string]any{"requests": map[string]any{string(corev1.ResourceCPU): "10m"}},
				}}},
			},
		},
	}
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	force := true
	_, err = l.client.Resource(deployments).Namespace("bench-floor").Patch(ctx, "floor", types.ApplyPatchType, body,
		metav1.PatchOptions{FieldManager: "bench", Force: &force})
	return err
}
