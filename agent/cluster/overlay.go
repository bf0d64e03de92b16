package cluster

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// overlayLife is how long a write may outrun the cache. A watch is behind by
// milliseconds; after this, the cache is right and the write was undone by
// somebody else.
const overlayLife = time.Minute

// overlay remembers this process's own writes until the cache has caught up, so
// that no decision is made from a state that the process itself has changed.
type overlay struct {
	now func() time.Time

	mu     sync.Mutex
	writes map[types.NamespacedName]write
}

type write struct {
	object  object
	deleted bool
	at      time.Time
}

func newOverlay(now func() time.Time) *overlay {
	return &overlay{now: now, writes: map[types.NamespacedName]write{}}
}

func keyOf(o object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// wrote notes an object as the API server returned it; of two notes the newer
// object stays.
func (v *overlay) wrote(o object) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if w, ok := v.writes[keyOf(o)]; ok && !w.deleted && sameOrNewer(w.object, o) {
		return
	}
	v.writes[keyOf(o)] = write{object: o, at: v.now()}
}

// deleted notes that the object of key is gone; cached is what the cache still
// has of it, which may be nil.
func (v *overlay) deleted(key types.NamespacedName, cached object) {
	v.mu.Lock()
	defer v.mu.Unlock()
	o := cached
	if w, ok := v.writes[key]; ok {
		o = w.object
	}
	if o != nil {
		v.writes[key] = write{object: o, deleted: true, at: v.now()}
	}
}

// gone forgets what was written to an object that the cache saw deleted.
func (v *overlay) gone(o object) {
	if o == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if w, ok := v.writes[keyOf(o)]; ok && w.object.GetUID() == o.GetUID() {
		delete(v.writes, keyOf(o))
	}
}

// merge returns cached with this process's newer writes in it. Writes that
// belong to other objects than those that match are left out.
func (v *overlay) merge(cached []object, match func(object) bool) []object {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.writes) == 0 {
		return cached
	}
	merged := make([]object, 0, len(cached)+1)
	seen := map[types.NamespacedName]bool{}
	for _, o := range cached {
		key := keyOf(o)
		seen[key] = true
		w, ok := v.writes[key]
		switch {
		case !ok:
		case w.deleted:
			if w.object.GetUID() == o.GetUID() {
				continue
			}
			delete(v.writes, key) // made anew
		case w.object.GetUID() == o.GetUID() && !sameOrNewer(o, w.object):
			o = w.object
		default:
			delete(v.writes, key)
		}
		merged = append(merged, o)
	}
	for key, w := range v.writes {
		switch {
		case v.now().Sub(w.at) > overlayLife:
			delete(v.writes, key)
		case !seen[key] && !w.deleted && match(w.object):
			merged = append(merged, w.object)
		}
	}
	return merged
}

// sameOrNewer reports whether a is at least as new as b. Since Kubernetes 1.35
// resource versions may be compared; where they cannot be, a counts as newer,
// which at worst shows what the cache shows.
func sameOrNewer(a, b object) bool {
	order, err := resourceversion.CompareResourceVersion(a.GetResourceVersion(), b.GetResourceVersion())
	return err != nil || order >= 0
}
