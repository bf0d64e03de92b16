package agent

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestWhatTheClusterRefusesChangesNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind    string
		want    CauseKind
		message string
		next    string
	}{
		{"Secret", CauseSecret, `there is no key "URL"`, "put the Secret and its key in place in namespace storefront-production"},
		{"Deployment", CauseRejected, `the cluster refuses Deployment shop: there is no key "URL"`, "admission rules"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.refused[push(2, 2, 3).image()] = &Rejected{Object: Object{Kind: test.kind, Name: "shop"}, Message: `there is no key "URL"`}
			for _, r := range []run{push(1, 0, 1), push(2, 2, 3)} {
				w.publish(t, r)
				w.run()
			}
			got := w.releases[1].Status
			if got.Phase != RolledBack || got.RestoredTo != 1 || !slices.Equal(w.applied, []int{1, 1}) {
				t.Fatalf("got %s to %d, %v applied; want release 1 put back, and nothing of release 2", got.Phase, got.RestoredTo, w.applied)
			}
			if c := got.Cause; c.Kind != test.want || c.Message != test.message || !strings.Contains(c.Next, test.next) {
				t.Errorf("got %+v, want %s: %s, next %s", *c, test.want, test.message, test.next)
			}
		})
	}
}

// TestWhatCannotBePutBackEndsAllTheSame is about a good release whose Secret has
// been deleted since.
func TestWhatCannotBePutBackEndsAllTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v1, v2 := push(1, 0, 1), push(2, 2, 3)
		w.broken[v2.image()] = true
		w.publish(t, v1)
		w.run()
		w.refused[v1.image()] = &Rejected{Object: Object{Kind: "Secret", Name: "shop"}, Message: `there is no Secret "shop"`}
		w.publish(t, v2)
		w.run()
		got := w.releases[1].Status
		if got.Phase != Failed || !strings.Contains(got.Cause.Message, "exit code 3") || !strings.HasSuffix(got.Cause.Message, `; putting release 1 back failed too: there is no Secret "shop"`) {
			t.Errorf("got %s with %+v, want it failed with both reasons", got.Phase, got.Cause)
		}
	})
}
