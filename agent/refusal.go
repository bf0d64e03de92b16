package agent

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// How much is remembered of what was refused.
const (
	maxRefusals = 50     // on the App; as many as its schema holds
	maxLines    = 256    // an App has at most 64 environments; intents may name others
	maxSpurned  = 10_000 // in memory; some 1 MB
)

// refuse makes a refusal durable and visible. issuedAt is that of an intent which
// ordering refused. It is zero for every other: its record may be forgotten
// without a trace, since it is refused the same way every time, and whoever may
// sign intents, but not deploy here, must not move a mark by dating them ahead.
func (a *Agent) refuse(ctx context.Context, r Refusal, issuedAt time.Time) error {
	r.IssuedAt = issuedAt
	a.log.Warn("intent refused", "environment", r.Line.Environment, "name", r.Line.App, "commit", r.Commit, "reason", r.Rule, "error", r.Message)
	added := false
	err := a.Apps.UpdateApp(ctx, r.Line.App, func(s *AppStatus) {
		known := slices.ContainsFunc(s.Refusals, func(old Refusal) bool { return old.Tag == r.Tag })
		if added = !known && !s.forgot(r.Line.Environment, issuedAt); !added {
			return
		}
		s.Refusals = append(s.Refusals, r)
		s.trimRefusals(a.ways)
	})
	if err == nil && issuedAt.IsZero() {
		a.spurn(r.Line.App, r.Tag)
	}
	if err != nil {
		return fmt.Errorf("recording a refusal on App %s: %w", r.Line.App, err)
	}
	if added {
		a.Meter.Refused(r)
	}
	for _, way := range a.ways {
		if r.Unreported(way) {
			a.reports.wake(r.target(way), false)
		}
	}
	return nil
}

// forgot reports whether the record of an intent that ordering refused may have
// been trimmed: since the tags were looked at, or by a leader before, of which a
// cache tells one half later than the other. What was live once is not refused.
func (s *AppStatus) forgot(environment string, issuedAt time.Time) bool {
	i := slices.IndexFunc(s.Lines, func(m LineMarks) bool { return m.Environment == environment })
	return i >= 0 && !issuedAt.IsZero() && !issuedAt.After(s.Lines[i].ForgottenBefore)
}

// trimRefusals forgets the oldest refusals beyond the bound. Those of which
// nothing is trusted go first: whoever may push to the registry can make any
// number of them, and must not push the others out. Those that are still to be
// reported by one of ways go last.
func (s *AppStatus) trimRefusals(ways []Way) {
	reported := func(r Refusal) bool { return !slices.ContainsFunc(ways, r.Unreported) }
	for len(s.Refusals) > maxRefusals {
		i := slices.IndexFunc(s.Refusals, func(r Refusal) bool { return r.IssuedAt.IsZero() && r.Repository == "" })
		if i < 0 {
			i = max(0, slices.IndexFunc(s.Refusals, reported))
		}
		s.forget(s.Refusals[i].Line.Environment, s.Refusals[i].IssuedAt)
		s.Refusals = slices.Delete(s.Refusals, i, i+1)
	}
}

// forget notes that the record of an intent of issuedAt is gone. A line without
// any release gets a mark too, or its forgotten refusals would come back as news.
func (s *AppStatus) forget(environment string, issuedAt time.Time) {
	if issuedAt.IsZero() {
		return
	}
	i := slices.IndexFunc(s.Lines, func(m LineMarks) bool { return m.Environment == environment })
	switch {
	case i >= 0:
		s.Lines[i].ForgottenBefore = later(s.Lines[i].ForgottenBefore, issuedAt)
	case len(s.Lines) < maxLines:
		s.Lines = append(s.Lines, LineMarks{Environment: environment, ForgottenBefore: issuedAt})
	}
}

// spurn remembers, for as long as this process lives, a tag whose refusal leaves
// no mark. More of them than an App keeps would come back as news at every look,
// and be in the way of the team's own.
func (a *Agent) spurn(app, tag string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for old := range a.spurned { // any of them: without all, a flood would be news at once
		if len(a.spurned) < maxSpurned {
			break
		}
		delete(a.spurned, old)
	}
	a.spurned[app+" "+tag] = true
}

func (a *Agent) isSpurned(app, tag string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.spurned[app+" "+tag]
}
