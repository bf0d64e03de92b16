package cluster

import (
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// settled is what this process knows of an object since it wrote it, or saw that
// there is nothing to write.
type settled struct {
	own      string // its mark then
	release  int    // of which release
	version  string // resource version of the write; empty: it was not written
	uid      types.UID
	gone     bool // the cache has seen it deleted since
	accepted mark // looked at and left as it is
	reported bool // accepted by policy alone
	looked   mark // as it was at the last look
}

// ledger is what is known of the objects that releases have made. A cache of the
// truth in the cluster: an agent that starts knows what the releases have on
// record.
type ledger struct {
	mu  sync.Mutex
	all map[agent.Object]settled // nil: nothing yet; only what some release has
}

func (l *ledger) of(o agent.Object) (settled, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, known := l.all[o]
	return s, known
}

// settle notes that o is as release has it: as written, if result is what the
// API server answered to a write, else as it would be.
func (l *ledger) settle(o agent.Object, result object, release int, written bool) {
	s := settled{own: markOf(result).own, release: release, uid: result.GetUID()}
	if written {
		s.version = result.GetResourceVersion()
	}
	l.change(o, func(known *settled) { *known = s })
}

// change changes what is known of o.
func (l *ledger) change(o agent.Object, change func(*settled)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.all[o]
	change(&s)
	if l.all == nil {
		l.all = map[agent.Object]settled{}
	}
	l.all[o] = s
}

// vanish notes that the cache has seen an object deleted.
func (l *ledger) vanish(o agent.Object, uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, known := l.all[o]; known && (s.uid == "" || s.uid == uid) {
		s.gone = true
		l.all[o] = s
	}
}

func (l *ledger) forget(o agent.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, o)
}

// forgetNamespace forgets all objects of a namespace.
func (l *ledger) forgetNamespace(namespace string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.all, func(o agent.Object, _ settled) bool { return o.Namespace == namespace })
}

// forgetLeft forgets those of objects that no release in their namespace has: with
// its last record an object is nobody's, whoever deleted that.
func (c *Client) forgetLeft(namespace string, objects []agent.Object) {
	found, err := c.informers["Release"].GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return // the index is there: watch makes it
	}
	cached := make([]object, 0, len(found))
	for _, o := range found {
		cached = append(cached, last(o))
	}
	releases := c.releases.merge(cached, func(o object) bool { return o.GetNamespace() == namespace })
	if len(releases) == 0 { // what a try has left that was in no inventory yet, too
		c.ledger.forgetNamespace(namespace)
		return
	}
	kept := map[agent.Object]bool{}
	for _, o := range releases {
		for _, at := range inventoryOf(o) {
			kept[at] = true
		}
	}
	for _, at := range objects {
		if !kept[at] {
			c.ledger.forget(at)
		}
	}
}

// inventoryOf are the objects that a cached Release has on record.
func inventoryOf(o object) []agent.Object {
	release, ok := o.(*v1alpha1.Release)
	if !ok {
		return nil
	}
	return each(release.Status.Inventory, referenceOf)
}

// behind reports whether live is from before this process's last write.
func (s settled) behind(live object) bool {
	if s.version == "" || s.uid != live.GetUID() {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(live.GetResourceVersion(), s.version)
	return err == nil && order < 0
}

// renderedKind is the kind of objects that releases have; false if they have none.
func renderedKind(kind string) (agent.Object, bool) {
	for _, gvk := range render.Allowed() {
		if gvk.Kind == kind {
			return agent.Object{APIVersion: gvk.GroupVersion().String(), Kind: kind}, true
		}
	}
	return agent.Object{}, false
}

// objectOf names a cached object of a kind that releases have.
func objectOf(kind string, o object) (agent.Object, bool) {
	at, ok := renderedKind(kind)
	at.Namespace, at.Name = o.GetNamespace(), o.GetName()
	return at, ok
}
