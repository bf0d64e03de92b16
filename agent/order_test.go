package agent

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/inhaul/inhaul/intent"
)

// line applies decisions as the agent does, and keeps what was decided.
type testLine struct {
	history  History
	number   int
	admitted []intent.Verified
}

func (l *testLine) deliver(v intent.Verified, mayForce bool) Decision {
	d := Order(l.history, v, mayForce)
	switch {
	case d.Outcome.Admits():
		l.number++
		p := v.Statement().Predicate
		l.history.Marks = l.history.Marks.Advance(v, l.number, d.Outcome, p.Source.Commit)
		l.history.Admissions = append(l.history.Admissions, Admission{
			Number: l.number, Digest: v.Digest(), Commit: p.Source.Commit, RunID: p.Source.RunID, Attempt: p.Source.RunAttempt, Good: true,
		})
		l.admitted = append(l.admitted, v)
	case d.Outcome != OutcomeKnown:
		if l.history.Refused == nil {
			l.history.Refused = map[string]bool{}
		}
		l.history.Refused[v.Digest()] = true
	}
	return d
}

// trim forgets all admissions but the newest keep, as a bounded history does.
func (l *testLine) trim(keep int) {
	if n := len(l.history.Admissions); n > keep {
		l.history.Admissions = l.history.Admissions[n-keep:]
	}
	l.history.Refused = nil
}

func minutes(n int) time.Time { return noon().Add(time.Duration(n) * time.Minute) }

func push(n int64, eventAt, issuedAt int) run {
	return run{id: 1000 + n, number: n, attempt: 1, eventAt: minutes(eventAt), issuedAt: minutes(issuedAt)}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	rerun := func(r run, attempt int64, issuedAt int) run {
		r.attempt, r.issuedAt = attempt, minutes(issuedAt)
		return r
	}
	with := func(r run, change func(*intent.Predicate)) run {
		r.change = change
		return r
	}
	force := func(p *intent.Predicate) { p.Force = true }
	back := func(n int) func(*intent.Predicate) {
		return func(p *intent.Predicate) { p.Kind, p.Spec, p.RollbackTo = intent.Rollback, nil, n }
	}
	backTo := func(target string) func(*intent.Predicate) {
		return func(p *intent.Predicate) {
			p.Spec = nil
			if err := p.RollBackTo(target); err != nil {
				t.Error(err)
			}
		}
	}
	first := push(1, 0, 0).statement().Predicate.Source.Commit
	for _, test := range []struct {
		name     string
		before   []run
		last     run
		mayForce bool
		want     Outcome
		rule     string
	}{
		{"admits the first intent of a line", nil, push(1, 0, 1), false, OutcomeAdmit, ""},
		{"admits a newer push", []run{push(1, 0, 1)}, push(2, 2, 3), false, OutcomeAdmit, ""},
		{"does nothing for a known intent", []run{push(1, 0, 1)}, push(1, 0, 1), false, OutcomeKnown, ""},
		{"denies another intent of the same attempt", []run{push(1, 0, 1)}, push(1, 0, 2), false, OutcomeDenied, "order: one intent per run attempt"},
		{"supersedes a slow old build", []run{push(2, 2, 3)}, push(1, 0, 9), false, OutcomeSuperseded, "order: run number"},
		{"supersedes a late arrival", []run{push(2, 2, 9)}, push(1, 0, 5), false, OutcomeSuperseded, "order: issuedAt"},
		{"admits a newer run whose runner's clock is behind", []run{push(1, 0, 9)}, push(2, 8, 8), false, OutcomeAdmit, ""},
		{"orders by run id across workflows", []run{push(7, 0, 1)}, with(push(3, 0, 2), func(p *intent.Predicate) {
			p.Source.WorkflowRef = "acme/storefront/.github/workflows/other.yml@refs/heads/main"
		}), false, OutcomeSuperseded, "order: run id"},
		{"keeps run numbers apart per workflow", []run{push(7, 0, 1)}, with(run{id: 2000, number: 1, attempt: 1, eventAt: minutes(1), issuedAt: minutes(2)}, func(p *intent.Predicate) {
			p.Source.WorkflowRef = "acme/storefront/.github/workflows/other.yml@refs/heads/main"
		}), false, OutcomeAdmit, ""},
		{"rolls back for a re-run of an older run", []run{push(1, 0, 1), push(2, 2, 3)}, rerun(push(1, 0, 1), 2, 5), false, OutcomeRollback, ""},
		{"redeploys for a re-run of the newest run", []run{push(1, 0, 1), push(2, 2, 3)}, rerun(push(2, 2, 3), 2, 5), false, OutcomeRedeploy, ""},
		{"supersedes a replayed re-run", []run{push(1, 0, 1), rerun(push(1, 0, 1), 2, 3), push(2, 4, 5)}, rerun(push(1, 0, 1), 3, 4), false, OutcomeSuperseded, "order: issuedAt"},
		{"supersedes a build in flight during a rollback", []run{push(1, 0, 1), push(2, 2, 3), rerun(push(1, 0, 1), 2, 5)}, push(3, 4, 6), false, OutcomeSuperseded, "order: a rollback holds"},
		{"admits what is pushed after a rollback", []run{push(1, 0, 1), push(2, 2, 3), rerun(push(1, 0, 1), 2, 5)}, push(3, 6, 7), false, OutcomeAdmit, ""},
		{"supersedes a re-run that never had a release", []run{push(1, 0, 1), push(3, 2, 3)}, rerun(push(2, 1, 2), 2, 5), false, OutcomeSuperseded, "order: re-run"},
		{"admits a re-run newer than all", []run{push(1, 0, 1)}, rerun(push(2, 1, 2), 2, 5), false, OutcomeAdmit, ""},
		{"forces an old re-run where policy lets it", []run{push(1, 0, 1), push(3, 2, 3)}, with(rerun(push(2, 1, 2), 2, 5), force), true, OutcomeAdmit, "order: re-run"},
		{"forces nothing where policy does not", []run{push(1, 0, 1), push(3, 2, 3)}, with(rerun(push(2, 1, 2), 2, 5), force), false, OutcomeSuperseded, "order: re-run"},
		{"forces past a rollback", []run{push(1, 0, 1), push(2, 2, 3), rerun(push(1, 0, 1), 2, 5)}, with(push(3, 4, 6), force), true, OutcomeAdmit, "order: a rollback holds"},
		{"never forces a replay", []run{with(push(2, 2, 9), force)}, with(push(1, 0, 5), force), true, OutcomeSuperseded, "order: issuedAt"},
		{"rolls back by number", []run{push(1, 0, 1), push(2, 2, 3)}, with(push(3, 4, 5), back(1)), false, OutcomeRollback, ""},
		{"rolls back to what ran before", []run{push(1, 0, 1), push(2, 2, 3)}, with(push(3, 4, 5), backTo("previous")), false, OutcomeRollback, ""},
		{"rolls back to a commit", []run{push(1, 0, 1), push(2, 2, 3)}, with(push(3, 4, 5), backTo(first)), false, OutcomeRollback, ""},
		{"rolls back for a slow run that was overtaken", []run{push(1, 0, 1), push(3, 2, 3)}, with(push(2, 1, 5), backTo("previous")), false, OutcomeRollback, ""},
		{"supersedes a rollback that comes late", []run{push(1, 0, 1), push(2, 2, 3), push(4, 8, 9)}, with(push(3, 4, 5), backTo("previous")), false, OutcomeSuperseded, "order: issuedAt"},
		{"supersedes a build in flight during a rollback to what ran before", []run{push(1, 0, 1), push(2, 2, 3), with(push(3, 5, 5), backTo("previous"))}, push(4, 4, 6), false, OutcomeSuperseded, "order: a rollback holds"},
		{"denies going back from the first release", []run{push(1, 0, 1)}, with(push(3, 4, 5), backTo("previous")), false, OutcomeDenied, "order: rollback target"},
		{"denies a rollback to a commit that was never live", []run{push(1, 0, 1)}, with(push(3, 4, 5), backTo("fffffff")), false, OutcomeDenied, "order: rollback target"},
		{"denies a rollback to a release that does not exist", []run{push(1, 0, 1)}, with(push(3, 4, 5), back(9)), false, OutcomeDenied, "order: rollback target"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var l testLine
			for _, r := range test.before {
				if d := l.deliver(verified(t, r), test.mayForce); !d.Outcome.Admits() {
					t.Fatalf("run %d before it: got %s (%s)", r.number, d.Outcome, d.Message)
				}
			}
			d := l.deliver(verified(t, test.last), test.mayForce)
			if d.Outcome != test.want || d.Rule != test.rule {
				t.Errorf("got %s by %q (%s), want %s by %q", d.Outcome, d.Rule, d.Message, test.want, test.rule)
			}
			if d.Outcome == OutcomeSuperseded && (d.By == "" || d.Message == "") {
				t.Errorf("got superseded by %q, message %q; want both told", d.By, d.Message)
			}
		})
	}
}

// TestOrderProperties delivers the intents of random runs shuffled, doubled,
// re-run and with clocks that differ, over a history that forgets, and checks
// what may never happen.
func TestOrderProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var deliveries []run
		pushes := rapid.IntRange(1, 6).Draw(rt, "pushes")
		for n := range pushes {
			slow := rapid.IntRange(1, 40).Draw(rt, "build minutes")
			skew := rapid.IntRange(-3, 3).Draw(rt, "clock skew")
			deliveries = append(deliveries, push(int64(n+1), 10*n, 10*n+max(slow+skew, 0))) // no intent is older than its event
		}
		for range rapid.IntRange(0, 3).Draw(rt, "re-runs") {
			again := push(int64(rapid.IntRange(1, pushes).Draw(rt, "again")), 0, 0)
			again.eventAt = minutes(10 * int(again.number-1))
			again.attempt = int64(rapid.IntRange(2, 4).Draw(rt, "attempt"))
			again.issuedAt = later(again.eventAt, minutes(rapid.IntRange(30, 120).Draw(rt, "again issued")))
			deliveries = append(deliveries, again)
		}
		deliveries = append(deliveries, rapid.SliceOfN(rapid.SampledFrom(deliveries), 0, 6).Draw(rt, "replays")...)
		deliveries = rapid.Permutation(deliveries).Draw(rt, "order")

		var l testLine
		seen := map[string]bool{}
		reran := false
		for _, r := range deliveries {
			marks := l.history.Marks
			d := l.deliver(verified(t, r), false)
			if d.Outcome.Admits() {
				checkAdmission(rt, l, marks, r, d, seen)
				reran = reran || r.attempt > 1
			}
			if !reran {
				l.trim(rapid.IntRange(1, 4).Draw(rt, "kept")) // re-runs need their run's release to be kept
			}
		}
		if reran {
			return
		}
		for _, r := range deliveries { // with first attempts alone, the newest push is live
			if live := l.admitted[len(l.admitted)-1].Statement().Predicate.Source.RunNumber; r.number > live && r.attempt == 1 {
				rt.Fatalf("push %d is live although %d was delivered", live, r.number)
			}
		}
	})
}

func checkAdmission(rt *rapid.T, l testLine, before LineMarks, r run, d Decision, seen map[string]bool) {
	v := l.admitted[len(l.admitted)-1]
	if seen[v.Digest()] {
		rt.Fatalf("intent of run %d attempt %d was admitted twice", r.number, r.attempt)
	}
	seen[v.Digest()] = true
	if r.attempt == 1 && r.id <= before.LastRunID {
		rt.Fatalf("first attempt of run %d was admitted after run %d", r.id, before.LastRunID)
	}
	if r.attempt == 1 && r.eventAt.Before(before.LastRollbackAt.Truncate(time.Second)) {
		rt.Fatalf("run %d undid a rollback: event %s, rollback %s", r.number, r.eventAt, before.LastRollbackAt)
	}
	after := l.history.Marks
	if after.LastRunID < before.LastRunID || after.LastIssuedAt.Before(before.LastIssuedAt) || after.LastNumber != before.LastNumber+1 {
		rt.Fatalf("a mark went back: %+v to %+v", before, after)
	}
	if d.Outcome == OutcomeRollback && after.LastRollbackAt != r.issuedAt {
		rt.Fatalf("a rollback was not remembered: %+v", after)
	}
}

// TestARunThatNeverSucceededIsNoRollback is about what a rollback may take for
// granted: that its predeploy has run, and that its pods were good once.
func TestARunThatNeverSucceededIsNoRollback(t *testing.T) {
	t.Parallel()
	for _, good := range []bool{true, false} {
		var l testLine
		for _, r := range []run{push(1, 0, 1), push(2, 2, 3)} {
			l.deliver(verified(t, r), false)
		}
		l.history.Admissions[0].Good = good
		again := push(1, 0, 1)
		again.attempt, again.issuedAt = 2, minutes(5)
		d := l.deliver(verified(t, again), false)
		want := map[bool]Reason{true: ReasonRollback, false: ReasonRedeploy}[good]
		if got := reasonOf(d); d.Outcome != OutcomeRollback || got != want {
			t.Errorf("good %v: got %s, reason %s; want a rollback, reason %s", good, d.Outcome, got, want)
		}
	}
}
