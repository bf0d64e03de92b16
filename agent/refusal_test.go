package agent

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// refusals are n of them, a minute apart from first on; verified ones have an
// issuedAt.
func refusals(n, first int, verified bool) []Refusal {
	var all []Refusal
	for i := range n {
		r := Refusal{Line: Line{App: "storefront", Environment: "production"}, Tag: fmt.Sprintf("production %d", first+i)}
		if verified {
			r.IssuedAt = minutes(first + i)
		}
		all = append(all, r)
	}
	return all
}

func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	s := AppStatus{Refusals: refusals(maxRefusals+3, 0, true)}
	s.trimRefusals([]Way{WayCheck})
	if len(s.Refusals) != maxRefusals || s.Refusals[0].Tag != "production 3" {
		t.Fatalf("got %d refusals from %q on, want %d from the fourth on", len(s.Refusals), s.Refusals[0].Tag, maxRefusals)
	}
	if len(s.Lines) != 1 || !s.Lines[0].ForgottenBefore.Equal(minutes(2)) {
		t.Errorf("got marks %+v, want one that remembers the newest forgotten refusal", s.Lines)
	}
}

func TestUnverifiedRefusalsAreForgottenFirst(t *testing.T) {
	t.Parallel()
	s := AppStatus{Refusals: append(refusals(maxRefusals, 0, true), refusals(maxRefusals, 500, false)...)}
	s.trimRefusals([]Way{WayCheck})
	for _, r := range s.Refusals {
		if r.IssuedAt.IsZero() {
			t.Fatalf("%s pushed a verified refusal out", r.Tag)
		}
	}
	if len(s.Lines) != 0 {
		t.Errorf("got marks %+v, want none: whoever may push tags must not move them", s.Lines)
	}
}

// TestDenialsThatAreReportedGoBeforeThoseThatAreNot is about denials of known
// repositories, which move no mark but are to be seen on their commits.
func TestDenialsThatAreReportedGoBeforeThoseThatAreNot(t *testing.T) {
	t.Parallel()
	denials := refusals(maxRefusals+2, 0, false)
	for i := range denials {
		denials[i].Repository = "acme/storefront"
	}
	denials[7].Reported = []Way{WayCheck}
	s := AppStatus{Refusals: append(denials, refusals(1, 500, false)...)}
	s.trimRefusals([]Way{WayCheck})
	var left []string
	for _, r := range s.Refusals {
		left = append(left, r.Tag)
	}
	for _, tag := range []string{"production 500", "production 7", "production 0"} { // in this order
		if slices.Contains(left, tag) {
			t.Errorf("%s is left", tag)
		}
	}
	if len(left) != maxRefusals || left[0] != "production 1" || len(s.Lines) != 0 {
		t.Errorf("got %d left, the first %s, marks %+v; want the newest %d and no mark", len(left), left[0], s.Lines, maxRefusals)
	}
}

func TestAFullMemoryOfSpurnedTagsForgetsAFewOnly(t *testing.T) {
	t.Parallel()
	a := New(Ports{}, Config{})
	for i := range maxSpurned + 10 {
		a.spurn("storefront", fmt.Sprint(i))
		if !a.isSpurned("storefront", fmt.Sprint(i)) {
			t.Fatalf("tag %d was forgotten at once", i)
		}
	}
	if len(a.spurned) != maxSpurned {
		t.Errorf("got %d tags remembered, want %d", len(a.spurned), maxSpurned)
	}
}

func TestForgottenRefusalsAreNoNews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app.Status.Lines = []LineMarks{{Environment: "production", ForgottenBefore: minutes(5)}}
	a := New(Ports{Reader: w}, Config{})
	notice := func(environment string, at int) Notice {
		return Notice{Tag: fmt.Sprintf("%s %d", environment, at), Environment: environment, IssuedAt: minutes(at), DigestPrefix: "0123456789ab"}
	}
	old := notice("production", 7)
	old.IssuedAt = noon().Add(-8 * 24 * time.Hour)
	got := a.news(w.app, []Notice{notice("production", 6), notice("production", 5), notice("staging", 1), old}, minutes(10))
	if len(got) != 2 || got[0].Tag != "staging 1" || got[1].Tag != "production 6" {
		t.Errorf("got %v, want what is newer than the mark of its line and has not expired, oldest first", got)
	}
}

// TestWhatWasTrimmedMeanwhileIsNotRefused is about a release that is trimmed
// between two looks of an agent: at the tags, and at the line.
func TestWhatWasTrimmedMeanwhileIsNotRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app.Status.Lines = []LineMarks{{Environment: "production", ForgottenBefore: minutes(5)}}
	a := New(Ports{Apps: w}, Config{Logger: slog.New(slog.DiscardHandler)})
	for tag, issuedAt := range map[string]time.Time{"trimmed": minutes(5), "late": minutes(6), "denied": {}} {
		refusal := Refusal{Line: Line{App: w.app.Name, Environment: "production"}, Tag: tag}
		if err := a.refuse(t.Context(), refusal, issuedAt); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range w.app.Status.Refusals {
		got = append(got, r.Tag)
	}
	if slices.Sort(got); !slices.Equal(got, []string{"denied", "late"}) {
		t.Errorf("got %q refused, want all but what was trimmed", got)
	}
}

// TestAStrangersIntentLeavesNoMark is about an intent that is signed well, from
// a repository which no rule names.
func TestAStrangersIntentLeavesNoMark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stranger, outdated := push(1, 0, 1), push(2, 0, 2)
		stranger.change = func(p *intent.Predicate) { p.Source.RepositoryID = 4321 }
		outdated.change = func(p *intent.Predicate) { p.Source.Ref = "refs/heads/old" }
		w.publish(t, stranger)
		w.publish(t, outdated)
		w.run()
		got := w.app.Status.Refusals
		if len(got) != 2 {
			t.Fatalf("got refusals %+v, want two", got)
		}
		if got[0].Rule != "policy: repository ID" || !got[0].IssuedAt.IsZero() || got[0].Repository != "" {
			t.Errorf("got %+v, want no time and no commit to report on", got[0])
		}
		if got[1].Rule != "policy: ref" || !got[1].IssuedAt.IsZero() || got[1].Unreported(WayCheck) {
			t.Errorf("got %+v, want no time, but a report on its commit", got[1])
		}
		if len(w.checks) != 1 {
			t.Errorf("got %d check runs, want one: nothing is written to a stranger's commit", len(w.checks))
		}
	})
}

// TestAFloodOfForgedIntentsStarvesNobody is about whoever may push tags, and
// makes more of them than are kept or taken in one look.
func TestAFloodOfForgedIntentsStarvesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range maxNoticesPerPoll + 2*maxRefusals {
			tag := fmt.Sprintf("forged %d", i)
			w.envelopes[tag] = []byte("deploy it please")
			w.notices = append(w.notices, Notice{Tag: tag, Environment: "production", IssuedAt: noon(), DigestPrefix: fmt.Sprintf("%012x", i)})
		}
		w.publish(t, push(1, 0, 1))
		w.run()
		if len(w.releases) != 1 || w.releases[0].Status.Phase != Succeeded {
			t.Errorf("got %d releases, want the one good intent live", len(w.releases))
		}
		if n := len(w.app.Status.Refusals); n != maxRefusals {
			t.Errorf("got %d refusals kept, want %d", n, maxRefusals)
		}
	})
}
