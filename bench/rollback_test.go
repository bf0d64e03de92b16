package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/inhaul/inhaul/intent"
)

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// secretName is what the app refers to; its content changes with every push.
const secretName = "bench-login"

// way is one way to ask for a rollback to the release of a run; it returns once
// it has asked.
type way struct {
	name string
	ask  func(ctx context.Context, l *lab, run int64, number int) error
}

// BenchmarkRollback is the time from asking for a rollback until every pod is of
// the old version again and Ready, beside `kubectl rollout undo` of the same
// Deployment in the same run (floor). Every time the configuration has to be the
// old one too, the content of the secret included.
func BenchmarkRollback(b *testing.B) {
	l := newLab(b)
	l.secrets = map[string]string{"LOGIN": "k8s://" + secretName + "#password"}
	program := buildProgram(b)
	for _, w := range []way{
		{"re-run", func(ctx context.Context, l *lab, run int64, _ int) error {
			_, _, err := l.push(ctx, run, 2)
			return err
		}},
		{"intent", func(ctx context.Context, l *lab, _ int64, number int) error {
			l.runs++
			_, err := l.send(ctx, "", intent.Predicate{Kind: intent.Rollback, RollbackTo: number, Source: source(commitOf(l.runs), l.runs, 1)})
			return err
		}},
		{"cluster", func(ctx context.Context, _ *lab, _ int64, number int) error {
			out, err := exec.CommandContext(ctx, program, "rollback", app, "--to", strconv.Itoa(number), "--no-wait").CombinedOutput()
			if err != nil {
				return fmt.Errorf("inhaul rollback: %w\n%s", err, out)
			}
			return nil
		}},
	} {
		b.Run(w.name, func(b *testing.B) { l.measureRollback(b, w) })
	}
	b.Run("floor", func(b *testing.B) { l.measureUndo(b) })
}

func (l *lab) measureRollback(b *testing.B, w way) {
	b.Helper()
	var took series
	for b.Loop() {
		b.StopTimer()
		old := l.deployWith(b, "first")
		number, want := l.serving(b), l.configuration(b)
		l.deployWith(b, "second")
		if now := l.configuration(b); now == want {
			b.Fatalf("the configuration did not change between two pushes: %s", want)
		}
		ready, stop := l.watchImage(b, namespace, app+"-web", l.image(old))
		b.StartTimer()
		began := time.Now()
		if err := w.ask(b.Context(), l, old, number); err != nil {
			b.Fatal(err)
		}
		at, ok := <-ready
		stop()
		if !ok {
			b.Fatal("the old version was not Ready again in time")
		}
		took.add(at.Sub(began))
		if got := l.configuration(b); got != want {
			b.Fatalf("got configuration %s, want that of the old release: %s", got, want)
		}
	}
	took.report(b, "rollback")
}

// measureUndo is the floor: a copy of the app's Deployment, changed once, and
// `kubectl rollout undo`.
func (l *lab) measureUndo(b *testing.B) {
	b.Helper()
	const name = "floor-undo"
	ctx := b.Context()
	if err := l.makeNamespace(ctx, "bench-floor"); err != nil {
		b.Fatal(err)
	}
	live, err := l.client.Resource(deployments).Namespace(namespace).Get(ctx, app+"-web", metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	floor := func(image string) *unstructured.Unstructured {
		labels := map[string]any{"app": name}
		spec, _, _ := unstructured.NestedMap(live.Object, "spec")
		o := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name}, "spec": spec,
		}}
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		container, isMap := containers[0].(map[string]any)
		if !isMap {
			b.Fatal("the Deployment has no container")
		}
		container["image"] = image
		err := errors.Join(
			unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers"),
			unstructured.SetNestedMap(o.Object, map[string]any{"matchLabels": labels}, "spec", "selector"),
			unstructured.SetNestedMap(o.Object, map[string]any{"labels": labels}, "spec", "template", "metadata"),
		)
		if err != nil {
			b.Fatal(err)
		}
		return o
	}
	apply := func(image string) {
		ready, stop := l.watchImage(b, "bench-floor", name, image)
		defer stop()
		if _, err := l.client.Resource(deployments).Namespace("bench-floor").Apply(ctx, name, floor(image),
			metav1.ApplyOptions{FieldManager: "bench", Force: true}); err != nil {
			b.Fatal(err)
		}
		if _, ok := <-ready; !ok {
			b.Fatal("the Deployment was not Ready in time")
		}
	}
	var took series
	for b.Loop() {
		b.StopTimer()
		l.runs += 2
		apply(l.image(l.runs - 1))
		apply(l.image(l.runs))
		ready, stop := l.watchImage(b, "bench-floor", name, l.image(l.runs-1))
		b.StartTimer()
		began := time.Now()
		out, err := exec.CommandContext(ctx, os.Getenv("LAB_KUBECTL"), "-n", "bench-floor", "rollout", "undo", "deployment/"+name).CombinedOutput()
		if err != nil {
			b.Fatalf("kubectl rollout undo: %v\n%s", err, out)
		}
		at, ok := <-ready
		stop()
		if !ok {
			b.Fatal("the old version was not Ready again in time")
		}
		took.add(at.Sub(began))
	}
	took.report(b, "rollback")
}

// deployWith pushes a new run while the secret has the given content, waits for
// its success, and returns the run.
func (l *lab) deployWith(b *testing.B, content string) int64 {
	b.Helper()
	if err := l.makeNamespace(b.Context(), namespace); err != nil {
		b.Fatal(err)
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": secretName},
		"stringData": map[string]any{"password": fmt.Sprintf("%s-%d", content, l.runs)},
	}}
	_, err := l.client.Resource(secrets).Namespace(namespace).Apply(b.Context(), secretName, o, metav1.ApplyOptions{FieldManager: "bench", Force: true})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := l.deploy(b.Context()); err != nil {
		b.Fatal(err)
	}
	return l.runs
}

// serving is the number of the newest release.
func (l *lab) serving(b *testing.B) int {
	b.Helper()
	list, err := l.client.Resource(releases).Namespace(namespace).List(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	newest := int64(0)
	for _, o := range list.Items {
		number, _, _ := unstructured.NestedInt64(o.Object, "spec", "number")
		newest = max(newest, number)
	}
	return int(newest)
}

// configuration is what the containers get their environment from: every name
// and content.
func (l *lab) configuration(b *testing.B) string {
	b.Helper()
	ctx := b.Context()
	o, err := l.client.Resource(deployments).Namespace(namespace).Get(ctx, app+"-web", metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	var all bytes.Buffer
	for _, c := range containers {
		container, _ := c.(map[string]any)
		sources, _, _ := unstructured.NestedSlice(container, "envFrom")
		for _, s := range sources {
			from, _ := s.(map[string]any)
			for field, resource := range map[string]schema.GroupVersionResource{"configMapRef": configMaps, "secretRef": secrets} {
				name, found, _ := unstructured.NestedString(from, field, "name")
				if !found {
					continue
				}
				held, err := l.client.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
				if err != nil {
					b.Fatal(err)
				}
				data, _, _ := unstructured.NestedStringMap(held.Object, "data")
				for _, key := range []string{"RUN", "LOGIN"} {
					value := data[key]
					if plain, err := base64.StdEncoding.DecodeString(value); err == nil && resource == secrets {
						value = string(plain)
					}
					if value != "" {
						fmt.Fprintf(&all, "%s=%s ", key, value)
					}
				}
			}
		}
	}
	if !bytes.Contains(all.Bytes(), []byte("RUN=")) || !bytes.Contains(all.Bytes(), []byte("LOGIN=")) {
		b.Fatalf("got configuration %q, want RUN and LOGIN in it", all.String())
	}
	return all.String()
}

// watchImage delivers when the Deployment runs image with every pod Ready and no
// other pod left; the channel is closed without that when time is up.
func (l *lab) watchImage(b *testing.B, namespace, name, image string) (<-chan time.Time, func()) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), deployTimeout)
	watching, err := l.client.Resource(deployments).Namespace(namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		cancel()
		b.Fatal(err)
	}
	ready := make(chan time.Time, 1)
	go func() {
		defer close(ready)
		for event := range watching.ResultChan() {
			o, ok := event.Object.(*unstructured.Unstructured)
			if ok && runs(o, image) {
				ready <- time.Now()
				return
			}
		}
	}()
	return ready, func() { cancel(); watching.Stop() }
}

// runs reports whether a Deployment is done with image.
func runs(o *unstructured.Unstructured, image string) bool {
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	for _, c := range containers {
		if container, ok := c.(map[string]any); !ok || container["image"] != image {
			return false
		}
	}
	number := func(fields ...string) int64 {
		n, _, _ := unstructured.NestedInt64(o.Object, fields...)
		return n
	}
	want := number("spec", "replicas")
	return len(containers) > 0 && number("status", "observedGeneration") == o.GetGeneration() && number("status", "updatedReplicas") == want &&
		number("status", "readyReplicas") == want && number("status", "replicas") == want
}

// buildProgram returns the program inhaul.
func buildProgram(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "inhaul")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, "../cmd/inhaul").CombinedOutput(); err != nil {
		b.Fatalf("building inhaul: %v\n%s", err, out)
	}
	return program
}
