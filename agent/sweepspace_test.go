package agent

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhichNamespacesNobodyOwns(t *testing.T) {
	t.Parallel()
	now := lunch()
	line := Line{App: "storefront", Environment: "pr-7"}
	space := PreviewSpace{Namespace: "n", Line: line, Owner: "a", CreatedAt: now.Add(-time.Hour)}
	for name, test := range map[string]struct {
		change  func(*PreviewSpace)
		records []Preview
		busy    bool
		want    int
	}{
		"no record":                            {want: 1},
		"another record":                       {records: []Preview{{UID: "b", Namespace: "m", Phase: PreviewActive}}, want: 1},
		"its record":                           {records: []Preview{{UID: "a", Phase: PreviewDestroyed}}},
		"a record that lives there":            {records: []Preview{{UID: "b", Namespace: "n", Phase: PreviewActive}}},
		"a record that lived there":            {records: []Preview{{UID: "b", Namespace: "n", Phase: PreviewDestroyed}}, want: 1},
		"a record that came into it":           {records: []Preview{{UID: "b", Owner: "a", Namespace: "was-n", Phase: PreviewDestroying}}},
		"a record that has left it":            {records: []Preview{{UID: "b", Owner: "a", Namespace: "n", Phase: PreviewWaiting}}, want: 1},
		"that of another agent":                {change: func(s *PreviewSpace) { s.Owned = true }},
		"made a moment ago":                    {change: func(s *PreviewSpace) { s.CreatedAt = now.Add(-9 * time.Minute) }},
		"something is under way":               {busy: true},
		"being deleted, which takes very long": {change: func(s *PreviewSpace) { s.EndingAt = now.Add(-time.Minute) }, want: 1},
	} {
		s := space
		if test.change != nil {
			test.change(&s)
		}
		if got := Orphans([]PreviewSpace{s}, test.records, func(s PreviewSpace) bool { return test.busy && s.Line == line }, now); len(got) != test.want {
			t.Errorf("%s: got %d orphans, want %d", name, len(got), test.want)
		}
	}
}

// TestLeftoversOfAGroup is about namespaces that were made for a preview which is over.
func TestLeftoversOfAGroup(t *testing.T) {
	t.Parallel()
	now := lunch()
	over := func(p *Preview) { p.Phase, p.DestroyedAt = PreviewDestroyed, now.Add(-time.Hour) }
	waits := func(p *Preview) { p.Phase = PreviewWaiting }
	for name, test := range map[string]struct {
		records []Preview
		want    int
	}{
		"alone in it":                       {[]Preview{member("web", "", "", over)}, 1},
		"another one stays":                 {[]Preview{member("web", "", "", over), member("api", PreviewActive, "web")}, 0},
		"it waits for room again":           {[]Preview{member("web", "", "", over, waits)}, 1},
		"it waits for the first time":       {[]Preview{member("web", "", "", waits)}, 0},
		"another one goes":                  {[]Preview{member("web", "", "", over), member("api", PreviewDestroying, "web")}, 0},
		"another one has left":              {[]Preview{member("web", "", "", over), member("api", PreviewWaiting, "web")}, 1},
		"it came into it, and is the last":  {[]Preview{member("api", "", "web", over)}, 1},
		"another one has one of its own":    {[]Preview{member("web", "", "", over), member("api", PreviewActive, "")}, 1},
		"it came into it, and the maker is": {[]Preview{member("api", "", "web", over), member("web", PreviewActive, "")}, 0},
	} {
		got := Leftovers([]PreviewSpace{{Namespace: "store-pr-7", Owner: "web"}}, test.records, now)
		if len(got) != test.want {
			t.Errorf("%s: got %d, want %d", name, len(got), test.want)
		}
	}
}

func TestGuardRailsThatCannotBePutUpAreTriedAtTheNextLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := sweeps(t)
		w.tell(t, pull(1, 0, 1))
		w.sweeping.noRails = errDown
		clear(w.sweeping.rails)
		w.wait(9 * time.Minute) // which is within one interval of rails
		if tries := w.sweeping.rails["storefront-pr-7"]; tries < 4 {
			t.Errorf("got %d tries within 9 minutes, want one at each look until one does not fail", tries)
		}
	})
}

func TestNamespaceWithoutARecordGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := sweeps(t)
		w.spaces["stray"] = &space{owner: "uid-of-nobody", madeAt: w.now()}
		w.spaces["own"] = &space{}
		w.tell(t, pull(1, 0, 1))
		w.wait(8 * time.Minute)
		if w.spaces["stray"] == nil {
			t.Fatal("a namespace that was just made is gone")
		}
		clear(w.sweeping.rails)
		w.wait(13 * time.Minute)
		if w.spaces["stray"] != nil || w.spaces["own"] == nil || w.spaces["storefront-pr-7"] == nil {
			t.Errorf("got namespaces %v, want the stray one gone alone", w.spaces)
		}
		if w.sweeping.rails["storefront-pr-7"] != 2 {
			t.Errorf("got guard rails put up %v times within 13 minutes, want every ten minutes", w.sweeping.rails)
		}
		if !slices.Contains(w.sweeping.swept, 1) || w.sweeping.swept[len(w.sweeping.swept)-1] != 0 {
			t.Errorf("got orphans %v, want one for some time", w.sweeping.swept)
		}
	})
}

// A record that somebody deletes by hand takes its preview with it, and the newest
// intent that is still valid makes it anew: nothing is left of which no record knows.
func TestRecordThatSomebodyDeletes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := sweeps(t)
		w.tell(t, pull(1, 0, 1))
		before := w.pr7().UID
		w.previews = nil
		w.wait(13 * time.Minute)
		p, there := w.pr7(), w.spaces["storefront-pr-7"]
		if p.Phase != PreviewActive || there == nil || there.owner != p.UID || p.UID == before {
			t.Errorf("got record %s %q and namespace %+v, want one of the other", p.Phase, p.UID, there)
		}
	})
}

func TestNamespaceThatSomebodyDeletes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := sweeps(t)
		w.tell(t, pull(1, 0, 1))
		w.spaces, w.releases = map[string]*space{}, nil
		w.wait(13 * time.Minute)
		if p := w.pr7(); p.Phase != PreviewDestroyed || p.Destroys[0].Reason != EndGone {
			t.Errorf("got %s, want it ended: it would take a place for ever", p.Phase)
		}
	})
}

func TestNamespaceThatComesAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := sweeps(t)
		w.tell(t, pull(1, 0, 1), closePull(2, 2, 3))
		w.spaces["storefront-pr-7"] = &space{owner: w.pr7().UID, madeAt: w.now()}
		w.wait(13 * time.Minute)
		if p := w.pr7(); len(w.spaces) != 0 || p.Phase != PreviewDestroyed {
			t.Errorf("got %s and namespaces %v, want it gone", p.Phase, w.spaces)
		}
	})
}

func TestPreviewsOfAnAppThatIsDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := sweeps(t)
		w.tell(t, pull(1, 0, 1))
		w.gone = true
		w.wait(50 * time.Minute)
		if p := w.pr7(); p.Phase != PreviewActive {
			t.Errorf("after 50 minutes: got %s, want it there", p.Phase)
		}
		w.wait(65 * time.Minute)
		if p := w.pr7(); p.Phase != PreviewDestroyed || len(w.spaces) != 0 {
			t.Errorf("after more than an hour: got %s and namespaces %v, want it gone", p.Phase, w.spaces)
		}
	})
}
