package agent

import (
	"testing"
	"testing/synctest"
)

func TestReleasesBeyondTheHistoryAreTrimmed(t *testing.T) {
	t.Parallel()
	for name, mute := range map[string]bool{"with a GitHub App": false, "without one": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mute, w.app.History = mute, 2
				for i := range 8 {
					w.publish(t, push(int64(i+1), 2*i, 2*i+1))
					w.run()
				}
				if n := len(w.releases); n != 2 || w.releases[1].Number != 8 {
					t.Errorf("got %d releases kept, want the newest 2", n)
				}
			})
		})
	}
}

func TestSupersededReleasesArePruned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v1, v2, v3 := push(1, 0, 1), push(2, 2, 3), push(3, 4, 5)
		w := newWorld(t)
		w.app.History = 1
		w.onWatch = never(v2.image())
		w.deploys(t, v1, v2, v3)
		if len(w.releases) != 1 || len(w.releases[0].Status.Inventory) != 2 {
			t.Fatalf("got %+v, want release 3 alone with its two objects", w.releases)
		}
		want := map[Object]bool{{Kind: "ConfigMap", Name: "web-1001"}: true, {Kind: "ConfigMap", Name: "web-1002"}: true}
		for _, o := range w.pruned {
			if !want[o] {
				t.Errorf("%v was pruned", o)
			}
			delete(want, o)
		}
		if len(want) != 0 {
			t.Errorf("%v was not pruned", want)
		}
	})
}

func TestTheMarksOfAnAdmissionKeepWhichReleaseServes(t *testing.T) {
	t.Parallel()
	s := AppStatus{Lines: []LineMarks{{Environment: "production", LastNumber: 4, Current: 4, ForgottenBefore: minutes(5)}}}
	s.remember(LineMarks{Environment: "production", LastNumber: 5, Current: 3}) // read before release 4 was live
	if got := s.Lines[0]; got.LastNumber != 5 || got.Current != 4 || !got.ForgottenBefore.Equal(minutes(5)) {
		t.Errorf("got %+v, want number 5, and 4 as the current one", got)
	}
}
