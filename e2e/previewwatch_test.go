package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	namespaceResource = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	secretResource    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// The labels that a preview's namespace is known by.
const (
	appLabel     = "inhaul.dev/app"
	previewLabel = "inhaul.dev/preview"
)

// seen is an object that was seen in a namespace, when it first was.
type seen struct {
	namespace, uid string
	version        uint64 // of the cluster, when it was first seen
}

// previewWatch writes down what previews of an app were ever seen to have.
type previewWatch struct {
	prefix string // of their namespaces

	mu         sync.Mutex
	namespaces map[string]seen            // by UID; each is one preview, for a pull request may have several
	seeds      map[string]seen            // Jobs, by UID
	pods       map[string]map[string]bool // UIDs, by that of their Job
	succeeded  map[string]seen            // releases, by UID
	secrets    []secretVersion
}

// secretVersion is what a Secret had.
type secretVersion struct {
	seen
	name, hash string
}

func watchPreviews(t *testing.T, pt *previewTeam) *previewWatch {
	t.Helper()
	w := &previewWatch{
		prefix: pt.app + "-pr-", namespaces: map[string]seen{}, seeds: map[string]seen{}, pods: map[string]map[string]bool{}, succeeded: map[string]seen{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	for _, watched := range []struct {
		resource schema.GroupVersionResource
		selector string
		see      func(seen, *unstructured.Unstructured)
	}{
		{namespaceResource, previewLabel, func(s seen, o *unstructured.Unstructured) { s.namespace = o.GetName(); first(w.namespaces, s) }},
		{jobResource, "inhaul.dev/task=seed", func(s seen, _ *unstructured.Unstructured) { first(w.seeds, s) }},
		{podResource, "batch.kubernetes.io/controller-uid", w.seePod},
		{releaseResource, "", w.seeRelease},
		{secretResource, "", w.seeSecret},
	} {
		watching.Go(func() {
			pt.follow(ctx, watched.resource, watched.selector, func(o *unstructured.Unstructured, _ bool) {
				name := o.GetNamespace()
				if name == "" {
					name = o.GetName()
				}
				if !strings.HasPrefix(name, w.prefix) {
					return
				}
				s := seen{o.GetNamespace(), string(o.GetUID()), version{object: o}.number()}
				w.mu.Lock()
				defer w.mu.Unlock()
				watched.see(s, o)
			})
		})
	}
	t.Cleanup(func() { cancel(); watching.Wait() })
	return w
}

// first keeps s unless it was seen before.
func first(all map[string]seen, s seen) {
	if _, known := all[s.uid]; !known {
		all[s.uid] = s
	}
}

func (w *previewWatch) seePod(s seen, o *unstructured.Unstructured) {
	job := o.GetLabels()["batch.kubernetes.io/controller-uid"]
	if w.pods[job] == nil {
		w.pods[job] = map[string]bool{}
	}
	w.pods[job][s.uid] = true
}

func (w *previewWatch) seeRelease(s seen, o *unstructured.Unstructured) {
	if phase, _, _ := unstructured.NestedString(o.Object, "status", "phase"); phase == "Succeeded" {
		first(w.succeeded, s)
	}
}

func (w *previewWatch) seeSecret(s seen, o *unstructured.Unstructured) {
	data, _, _ := unstructured.NestedStringMap(o.Object, "data")
	hash := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(hash, "%q %q\n", key, data[key])
	}
	w.secrets = append(w.secrets, secretVersion{s, o.GetName(), fmt.Sprintf("%x", hash.Sum(nil))})
}

// preview is the UID of the namespace that s was in: the newest of that name which was
// there before it.
func (w *previewWatch) preview(s seen) string {
	newest := seen{}
	for _, n := range w.namespaces {
		if n.namespace == s.namespace && n.version <= s.version && n.version >= newest.version {
			newest = n
		}
	}
	return newest.uid
}

// seedCount is how often seed commands ran, by preview.
type seedCount struct{ once, more, none int }

// countSeeds counts previews whose seed ran once, or more often, and those that went
// live and whose seed never ran.
func (w *previewWatch) countSeeds() (count seedCount) {
	w.mu.Lock()
	defer w.mu.Unlock()
	jobs, pods, live := map[string]int{}, map[string]int{}, map[string]bool{}
	for uid, s := range w.seeds {
		jobs[w.preview(s)]++
		pods[w.preview(s)] += len(w.pods[uid])
	}
	for _, s := range w.succeeded {
		live[w.preview(s)] = true
	}
	for uid := range w.namespaces {
		switch {
		case jobs[uid] > 1 || pods[uid] > 1:
			count.more++
		case pods[uid] == 1:
			count.once++
		case live[uid]:
			count.none++
		}
	}
	return count
}

// changedSecrets names the Secrets of which one preview saw more than one content.
func (w *previewWatch) changedSecrets() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	contents := map[string]map[string]bool{}
	for _, s := range w.secrets {
		key := fmt.Sprintf("%s/%s (namespace %s)", s.namespace, s.name, w.preview(s.seen))
		if contents[key] == nil {
			contents[key] = map[string]bool{}
		}
		contents[key][s.hash] = true
	}
	maps.DeleteFunc(contents, func(_ string, hashes map[string]bool) bool { return len(hashes) < 2 })
	return slices.Sorted(maps.Keys(contents))
}

// there are the names of the namespaces of previews of the app that are there now.
func (pt *previewTeam) there(ctx context.Context) (map[string]bool, error) {
	list, err := pt.client.Resource(namespaceResource).List(ctx, metav1.ListOptions{LabelSelector: previewLabel + "," + appLabel + "=" + pt.app})
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, o := range list.Items {
		names[o.GetName()] = true
	}
	return names, nil
}
