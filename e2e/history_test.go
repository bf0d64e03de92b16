package e2e

import (
	"cmp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/inhaul/inhaul/api/v1alpha1"
)

// version is an object as the cluster showed it at a moment.
type version struct {
	at      time.Time // when it was seen here
	deleted bool
	object  *unstructured.Unstructured
}

// number is the object's resource version; etcd counts all writes together.
func (v version) number() uint64 {
	n, _ := strconv.ParseUint(v.object.GetResourceVersion(), 10, 64)
	return n
}

// history has every version of a namespace's objects since it began.
type history struct {
	mu       sync.Mutex // guards versions
	versions []version
}

// watchNamespace begins a history. It ends with the test.
func watchNamespace(t *testing.T, d *deployer) *history {
	t.Helper()
	h := &history{}
	core, apps := schema.GroupVersion{Version: "v1"}, schema.GroupVersion{Group: "apps", Version: "v1"}
	var watching sync.WaitGroup
	for _, resource := range []schema.GroupVersionResource{
		core.WithResource("pods"), core.WithResource("events"), apps.WithResource("replicasets"), apps.WithResource("deployments"),
		{Group: "batch", Version: "v1", Resource: "jobs"},
		{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
		v1alpha1.GroupVersion().WithResource("releases"),
	} {
		w, err := d.client.Resource(resource).Namespace(d.namespace).Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		watching.Go(func() {
			for event := range w.ResultChan() {
				if o, ok := event.Object.(*unstructured.Unstructured); ok {
					h.add(version{time.Now(), event.Type == watch.Deleted, o})
				}
			}
		})
		t.Cleanup(watching.Wait)
		t.Cleanup(w.Stop)
	}
	return h
}

func (h *history) add(v version) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.versions = append(h.versions, v)
}

// first is the first version that a claim is true of.
func (h *history) first(claim func(*unstructured.Unstructured) bool) (version, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.versions, func(v version) bool { return !v.deleted && claim(v.object) })
	if i < 0 {
		return version{}, false
	}
	return h.versions[i], true
}

// eventually is first, for as long as it takes; false after the timeout.
func (h *history) eventually(claim func(*unstructured.Unstructured) bool, timeout time.Duration) (version, bool) {
	for deadline := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		if v, ok := h.first(claim); ok || time.Now().After(deadline) {
			return v, ok
		}
	}
}

// all are the versions that were seen of everything.
func (h *history) all() []version {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.versions)
}

// asOf is what the namespace had right after a write, in the order of kinds and
// names: "" for number 0 is now.
func (h *history) asOf(number uint64) []*unstructured.Unstructured {
	latest := map[string]version{}
	for _, v := range h.all() {
		key := v.object.GetKind() + "/" + v.object.GetName()
		if (number == 0 || v.number() <= number) && v.number() >= latest[key].numberOr0() {
			latest[key] = v
		}
	}
	var objects []*unstructured.Unstructured
	for _, v := range latest {
		if !v.deleted {
			objects = append(objects, v.object)
		}
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return objects
}

func (v version) numberOr0() uint64 {
	if v.object == nil {
		return 0
	}
	return v.number()
}
