package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// expectation is what a test knows of the pushes of a team.
type expectation struct {
	newest map[*line]*push // has to be the line's last release; absent where none has to be
	// wrongClock are pushes of a time when the agent's clock was wrong: it may have
	// refused them for their age.
	wrongClock map[*push]bool
	skewed     bool // it was wrong at some time: times on record need not be true
}

// problems are the promises that are broken just now. Some are broken for as long
// as work is under way; those of broken are so for good.
func (l *ledger) problems(ctx context.Context, want expectation) []string {
	if err := l.readChecks(ctx); err != nil {
		return []string{"reading the history of check runs: " + err.Error()}
	}
	if err := l.readWritten(ctx); err != nil {
		return []string{"reading the history of what is shown: " + err.Error()}
	}
	found := l.broken(ctx)
	for _, line := range l.team.lines {
		releases := l.of(line)
		for _, p := range line.pushes {
			found = append(found, l.fate(p, releases, want)...)
		}
		if p := l.last(want.newest[line], want); p != nil && !want.wrongClock[p] {
			if n := len(releases); n == 0 || releases[n-1].Spec.Intent != p.digest {
				found = append(found, fmt.Sprintf("%s: the last release is not that of run %d", line, p.run))
			}
		}
		found = append(found, l.state(ctx, line, releases)...)
		found = append(found, l.deployed(line, releases)...)
		found = append(found, l.commented(line, releases)...)
	}
	return found
}

// fate is what is wrong with what became of a push.
func (l *ledger) fate(p *push, releases []release, want expectation) (found []string) {
	say := func(format string, args ...any) {
		found = append(found, fmt.Sprintf("%s run %d attempt %d: ", p.line, p.run, p.attempt)+fmt.Sprintf(format, args...))
	}
	r, admitted := l.releaseOf(p)
	refused, denied := l.refusalOf(p)
	switch {
	case admitted && denied:
		say("it has release %d and a refusal (%s)", r.Spec.Number, refused.Rule)
	case !admitted && !denied:
		say("lost: it has no release and no refusal")
	case denied && refused.Rule == "age" && want.wrongClock[p]:
	case denied && p.target != "" && !refused.Superseded:
		if lie := p.untrue(refused, releases, want); lie != "" {
			say("%s", lie)
		}
		if p.inCluster {
			found = append(found, l.unshown(p)...)
		} else {
			found = append(found, l.shown(p, "action_required")...)
		}
	case denied && !refused.Superseded:
		say("refused by %q: %s", refused.Rule, refused.Message)
	case denied:
		if !slices.Contains(refused.Reported, "check") {
			say("its refusal is not reported")
		}
		found = append(found, l.shown(p, "neutral")...)
	case !r.terminal() || !slices.Contains(r.conclusions(releases), conclusionOf(r.shown("check"))):
		say("release %d is %s (%s), and %q is reported", r.Spec.Number, r.Status.Phase, r.Status.Message, r.shown("check"))
	default:
		found = append(found, l.shown(p, r.conclusions(releases)...)...)
		newer := len(releases) > 0 && releases[len(releases)-1].Spec.Number > r.Spec.Number
		red := r.Status.Phase == "Failed" || r.Status.Phase == "RolledBack"
		if (r.Status.Phase == "Succeeded" && p.broken) || (red && !p.broken) || (r.Status.Phase == "Superseded" && !newer) {
			say("release %d is %s (%s), and broken is %t", r.Spec.Number, r.Status.Phase, r.Status.Message, p.broken)
		}
		found = append(found, l.ran(p, r)...)
		if p.target != "" {
			found = append(found, l.back(p, r, releases, want)...)
		}
	}
	return found
}

// conclusions are those that the check of a release may have. A success that was
// not told while it served is neutral: something newer is live.
func (r release) conclusions(releases []release) []string {
	switch r.Status.Phase {
	case "Superseded":
		return []string{"neutral"}
	case "Succeeded":
		if slices.ContainsFunc(releases, func(newer release) bool {
			return newer.Spec.Number > r.Spec.Number && newer.Status.Phase == "Succeeded"
		}) {
			return []string{"success", "neutral"}
		}
		return []string{"success"}
	}
	return []string{"failure", "timed_out", "cancelled"} // by the cause
}

// conclusionOf is how a check shows a phase; empty while nothing is certain.
func conclusionOf(phase string) string {
	return map[string]string{"Succeeded": "success", "Superseded": "neutral", "Failed": "failure", "RolledBack": "failure"}[phase]
}

// shown is what is wrong with the check of a push whose verdict is durable.
func (l *ledger) shown(p *push, conclusions ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := checkChange{Status: "absent"}
	for _, c := range l.checks {
		if c.ExternalID == p.digest {
			last = c
		}
	}
	commit := p.commit
	for _, r := range l.releases {
		if p.inCluster && r.Spec.Intent == p.digest {
			commit = r.Spec.Source.Commit // no run of a workflow has one
		}
	}
	if last.Status != "completed" || !slices.Contains(conclusions, last.Conclusion) || last.HeadSHA != commit {
		return []string{fmt.Sprintf("%s run %d attempt %d: the check is %s %s (%s), want completed %s",
			p.line, p.run, p.attempt, last.Status, last.Conclusion, last.Title, strings.Join(conclusions, " or "))}
	}
	return nil
}

// ran is what is wrong with how often a predeploy ran.
func (l *ledger) ran(p *push, r release) []string {
	want := 0
	if p.predeploy && !r.at("predeploying").IsZero() {
		want = 1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	jobs := l.jobs[p.digest]
	pods := 0
	for uid := range jobs {
		pods += len(l.pods[uid])
	}
	succeeded := r.Status.Phase == "Succeeded" && p.predeploy && r.Spec.Reason != "Rollback"
	if len(jobs) != want || pods != want || (succeeded && want == 0) {
		return []string{fmt.Sprintf("%s release %d (%s, %s): its predeploy had %d jobs and %d pods, want %d", p.line, r.Spec.Number, r.Status.Phase, r.Spec.Reason, len(jobs), pods, want)}
	}
	return nil
}

// broken are the broken promises that nothing can mend any more.
func (l *ledger) broken(ctx context.Context) (found []string) {
	pushed := map[string]*push{}
	for _, line := range l.team.lines {
		for _, p := range line.pushes {
			pushed[p.digest] = p
		}
		intents := map[string]int{}
		for i, r := range l.of(line) {
			if r.Spec.Number != i+1 {
				found = append(found, fmt.Sprintf("%s: release %d comes as number %d: lost or doubled", line, r.Spec.Number, i+1))
			}
			if intents[r.Spec.Intent]++; intents[r.Spec.Intent] > 1 {
				found = append(found, fmt.Sprintf("%s: release %d is of an intent that has one", line, r.Spec.Number))
			}
		}
	}
	found = append(found, l.checkHistory(pushed)...)
	found = append(found, l.writtenHistory(pushed)...)
	found = append(found, l.answers()...)
	l.mu.Lock()
	for digest, jobs := range l.jobs {
		for uid := range jobs {
			if p := pushed[digest]; p != nil && (len(jobs) > 1 || len(l.pods[uid]) > 1) {
				found = append(found, fmt.Sprintf("%s run %d: its predeploy had %d jobs and %d pods", p.line, p.run, len(jobs), len(l.pods[uid])))
			}
		}
	}
	l.mu.Unlock()
	var violations []struct{ Side, Method, Path, Reason string }
	if err := l.team.lab(ctx, http.MethodGet, "violations", nil, &violations); err != nil {
		found = append(found, "reading violations: "+err.Error())
	}
	for _, v := range violations {
		found = append(found, fmt.Sprintf("a call broke GitHub's API description: %s %s: %s: %s", v.Method, v.Path, v.Side, v.Reason))
	}
	return found
}

// checkHistory is what was ever wrong with the check runs of the pushes: two for
// one intent, or a verdict that was taken back.
func (l *ledger) checkHistory(pushed map[string]*push) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	runs, verdicts := map[string]int64{}, map[string]string{}
	for _, c := range l.checks {
		p := pushed[c.ExternalID]
		if p == nil {
			continue // of another test, or of a tag that nothing is trusted of
		}
		if run := runs[c.ExternalID]; run != 0 && run != c.CheckRun {
			found = append(found, fmt.Sprintf("%s run %d: check runs %d and %d are of the same intent", p.line, p.run, run, c.CheckRun))
		}
		runs[c.ExternalID] = c.CheckRun
		// A success that something newer takes the place of while it is told may become neutral.
		if verdict := verdicts[c.ExternalID]; verdict != "" && verdict != c.Conclusion && (verdict != "success" || c.Conclusion != "neutral") {
			found = append(found, fmt.Sprintf("%s run %d: its check was %s and became %s %s", p.line, p.run, verdict, c.Status, c.Conclusion))
		}
		verdicts[c.ExternalID] = c.Conclusion
	}
	return slices.Compact(found)
}
