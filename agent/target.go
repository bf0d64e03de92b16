package agent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// Target names the release that a rollback brings back; exactly one of Previous,
// Number and Commit is set.
type Target struct {
	Previous bool   // what ran before; see History.previous
	Number   int    // of the release, from 1
	Commit   string // whose code it runs, or how that begins: 7 to 40 lower-case hex digits

	// At is when it was asked for; the zero time is now. What had no verdict then
	// counts as under way.
	At time.Time
}

// ParseTarget reads "previous", a release number or the beginning of a commit.
func ParseTarget(text string) (Target, error) {
	var p intent.Predicate
	err := p.RollBackTo(text)
	return targetOf(p), err
}

// targetOf is what an intent of kind rollback names.
func targetOf(p intent.Predicate) Target {
	return Target{Previous: p.RollbackToPrevious, Number: p.RollbackTo, Commit: p.RollbackToCommit, At: p.IssuedAt}
}

// String is the target as ParseTarget reads it.
func (t Target) String() string {
	switch {
	case t.Previous:
		return "previous"
	case t.Commit != "":
		return t.Commit
	}
	return strconv.Itoa(t.Number)
}

// rollback is rule 4. A rollback to what serves already is one like any other: it
// supersedes what is under way, and it holds.
func (h History) rollback(p intent.Predicate) Decision {
	t := targetOf(p)
	a, why := Admission{}, ""
	if again, ok := h.repeats(p); ok {
		a, why = again, fmt.Sprintf("run %d again, which was release %d", p.Source.RunID, again.Number)
	} else {
		var err error
		if a, err = h.target(t); err != nil {
			return Decision{Outcome: OutcomeDenied, Rule: "order: rollback target", Message: err.Error()}
		}
		why = t.explain(a)
	}
	if serving, ok := h.newestGood(); ok && (serving.Number == a.Number || serving.Restore == a.Number) {
		why += ", and serves already"
	}
	return Decision{Outcome: OutcomeRollback, Restore: a.Number, Message: why}
}

// repeats is the good release of an earlier attempt of the run that asks for what
// was previous then: a re-run does the same again.
func (h History) repeats(p intent.Predicate) (Admission, bool) {
	for _, a := range slices.Backward(h.Admissions) {
		if p.RollbackToPrevious && p.Source.RunAttempt > 1 && a.RunID == p.Source.RunID && a.Good {
			return a, true
		}
	}
	return Admission{}, false
}

// explain says to people why t is release a.
func (t Target) explain(a Admission) string {
	switch {
	case t.Previous:
		return fmt.Sprintf("release %d (%s), which was live before", a.Number, short(a.Commit))
	case t.Commit != "":
		return fmt.Sprintf("release %d, the newest good one of commit %s", a.Number, short(a.Commit))
	}
	return fmt.Sprintf("release %d by number", a.Number)
}

// target is the release that t names, of those that succeeded and are kept. The
// error says what is asked for, what there is and what to do next.
func (h History) target(t Target) (Admission, error) {
	switch {
	case t.Previous:
		return h.previous(t.At)
	case t.Commit != "":
		return h.ofCommit(t.Commit)
	}
	if a, ok := h.numbered(t.Number); ok && a.Good {
		return a, nil
	}
	return Admission{}, fmt.Errorf("release %d is not kept or never succeeded; %s", t.Number, h.choice())
}

// previous is what ran before the version that serves: the newest good release
// before the one that this version came with, so that asking again goes one
// further back instead of to and fro. Redeploys of the same version are skipped.
//
// While a deploy is under way it is the one to go back from, so the last good
// release is previous. While a rollback is under way it is what that brings back:
// two people who press the button at once want the same. Where the newest release
// failed and nothing was put back, the last good one is what ran before.
func (h History) previous(at time.Time) (Admission, error) {
	base, ok := h.newestGood()
	n := len(h.Admissions)
	if ok && h.Admissions[n-1].Left {
		return base, nil
	}
	if n > 0 && h.Admissions[n-1].unsettled(at) {
		base, ok = h.Admissions[n-1], true
		if back, again := h.brings(base); again {
			return back, nil
		}
	}
	if !ok {
		return Admission{}, fmt.Errorf("previous: no release that is kept has succeeded; deploy something that does")
	}
	first := h.origin(base)
	for _, a := range slices.Backward(h.Admissions) {
		if a.Good && a.Number < first && (a.Image != base.Image || a.Commit != base.Commit) {
			return a, nil
		}
	}
	return Admission{}, fmt.Errorf("previous: no release that is kept and succeeded runs anything older than release %d (%s); %s", base.Number, short(base.Commit), h.choice())
}

// unsettled reports whether a had no verdict at the given time; the zero time is
// now.
func (a Admission) unsettled(at time.Time) bool {
	return a.UnderWay || !at.IsZero() && a.VerdictAt.After(at)
}

// brings is the good release that a brings back; false if a is no rollback, or
// what it brings back is not kept.
func (h History) brings(a Admission) (Admission, bool) {
	for _, old := range slices.Backward(h.Admissions) {
		if a.brings(old) {
			return old, true
		}
	}
	return Admission{}, false
}

// brings is Release.BringsBack of what ordering compares.
func (a Admission) brings(old Admission) bool {
	again := a.Restore == 0 && a.Reason == ReasonRollback && old.RunID == a.RunID
	return old.Good && old.Number < a.Number && (old.Number == a.Restore || again)
}

// BringsBack reports whether old is a good release that r is to bring back; of
// several it is the newest. A rollback by number names its release; a run that is
// repeated means the release that it made, or that another repetition brought back
// last. It is false of all if r is news.
func (r Release) BringsBack(old Release) bool {
	return r.admission(r.Commit).brings(old.admission(old.Commit))
}

// origin is the number of the release that the version of a came with.
func (h History) origin(a Admission) int {
	for {
		old, ok := h.brings(a)
		switch {
		case ok:
			a = old
		case a.Restore != 0: // trimmed
			return a.Restore
		default:
			return a.Number
		}
	}
}

// ofCommit is the newest good release that runs a commit which begins so.
func (h History) ofCommit(prefix string) (Admission, error) {
	var found Admission
	for _, a := range slices.Backward(h.Admissions) {
		switch {
		case !a.Good || !strings.HasPrefix(a.Commit, prefix):
		case found.Number == 0:
			found = a
		case a.Commit != found.Commit:
			return Admission{}, fmt.Errorf("commit %s is ambiguous: release %d is of %s, release %d of %s; give more digits, or the number",
				prefix, found.Number, found.Commit, a.Number, a.Commit)
		}
	}
	if found.Number == 0 {
		return Admission{}, fmt.Errorf("no release that is kept and succeeded runs a commit that begins with %s; %s", prefix, h.choice())
	}
	return found, nil
}

func (h History) numbered(number int) (Admission, bool) {
	i := slices.IndexFunc(h.Admissions, func(a Admission) bool { return a.Number == number })
	if i < 0 {
		return Admission{}, false
	}
	return h.Admissions[i], true
}

func (h History) newestGood() (Admission, bool) {
	for _, a := range slices.Backward(h.Admissions) {
		if a.Good {
			return a, true
		}
	}
	return Admission{}, false
}

// maxChoice is how many releases a message offers.
const maxChoice = 5

// choice says which releases can be named instead, newest first.
func (h History) choice() string {
	var offers []string
	for _, a := range slices.Backward(h.Admissions) {
		if a.Good && len(offers) < maxChoice {
			offers = append(offers, fmt.Sprintf("%d (%s)", a.Number, short(a.Commit)))
		}
	}
	if len(offers) == 0 {
		return "there is none that could be named instead"
	}
	return "name one that did (kubectl get releases): " + strings.Join(offers, ", ")
}
