package cluster

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/cache"

	"github.com/inhaul/inhaul/agent"
)

// TestTheLedgerForgetsWhatNoReleaseHas is about an agent that runs for months, in
// whose cluster people delete releases and namespaces.
func TestTheLedgerForgetsWhatNoReleaseHas(t *testing.T) {
	t.Parallel()
	c := answered(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	in := func(namespace, name string) agent.Object {
		return agent.Object{APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: name}
	}
	store, handler := c.informers["Release"].GetIndexer(), c.noteRelease()
	var all []agent.Release
	for number, inventory := range [][]agent.Object{
		{in("shop", "web"), in("shop", "old")}, {in("shop", "web"), in("shop", "new")}, {in("blog", "web")},
	} {
		r := testRelease("shop", number+1)
		r.Namespace, r.Status.Inventory = inventory[0].Namespace, inventory
		for _, o := range inventory {
			c.ledger.change(o, func(s *settled) { s.release = r.Number })
		}
		if err := store.Add(releaseResource(r)); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	drop := func(r agent.Release) {
		if err := store.Delete(releaseResource(r)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, want ...string) {
		t.Helper()
		var got []string
		for _, o := range slices.Collect(maps.Keys(c.ledger.all)) {
			got = append(got, o.Namespace+"/"+o.Name)
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	drop(all[0])
	handler.OnDelete(cache.DeletedFinalStateUnknown{Key: "shop/shop-1", Obj: releaseResource(all[0])})
	want("one of two releases is gone", "blog/web", "shop/new", "shop/web")

	c.ledger.change(in("shop", "untold"), func(*settled) {}) // made by a try that had no time to say so
	drop(all[1])
	handler.OnDelete(releaseResource(all[1]))
	c.ledger.vanish(in("shop", "web"), "uid") // the end of an object may be seen later
	want("no release of the namespace is left", "blog/web")

	before := c.releaseResource(all[2])
	drop(all[2])
	handler.OnDelete(releaseResource(all[2]))
	c.ledger.change(in("blog", "web"), func(s *settled) { s.gone = false })
	c.forgetIfDeleted(all[2], before)
	want("a release went during a look at its objects")
}
