package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestWhatASweepEnds(t *testing.T) {
	t.Parallel()
	now := lunch().Add(100 * time.Hour)
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	base := Preview{
		Line: Line{App: "storefront", Environment: "pr-7"}, RepositoryID: 1234, Phase: PreviewActive,
		CreatedAt: before(50 * time.Hour), LastPushAt: before(20 * time.Hour),
	}
	policy := PreviewPolicy{IdleTTL: 24 * time.Hour, TTL: 72 * time.Hour, KeepLabel: "keep"}
	open, closed := PullRequest{Number: 7, RepositoryID: 1234, Open: true}, PullRequest{Number: 7, RepositoryID: 1234, ClosedAt: before(time.Hour)}
	told := func(pulls ...PullRequest) OpenList { return OpenList{At: now, Pulls: pulls} }
	labelled := func(p PullRequest, labels ...string) PullRequest { p.Labels = labels; return p }
	waits := func(since time.Duration) func(*Preview, *PreviewPolicy) {
		return func(p *Preview, _ *PreviewPolicy) {
			p.Phase, p.CreatedAt, p.Waiting = PreviewWaiting, time.Time{}, &Parked{Since: before(since)}
		}
	}
	fork := func(p *Preview, o *PreviewPolicy) { p.Fork, o.Forks = true, &ForkPolicy{TTL: 24 * time.Hour} }
	kept := func(p PullRequest) PullRequest { p.Labels = []string{"bug", "keep"}; return p }
	for name, test := range map[string]struct {
		change func(*Preview, *PreviewPolicy)
		open   OpenList
		want   EndReason
	}{
		"open":                         {open: told(open)},
		"closed":                       {open: told(closed), want: EndClosed},
		"closed, and kept":             {open: told(kept(closed)), want: EndClosed},
		"wants no preview":             {open: told(labelled(open, "no-preview")), want: EndUnwanted},
		"wants none, and is kept":      {open: told(labelled(open, "keep", "no-preview")), want: EndUnwanted},
		"waits":                        {change: waits(time.Hour), open: told(open)},
		"waits, and is closed":         {change: waits(time.Hour), open: told(closed), want: EndClosed},
		"waits, and wants none":        {change: waits(time.Hour), open: told(labelled(open, "no-preview")), want: EndUnwanted},
		"waits for too long":           {change: waits(72 * time.Hour), open: told(open), want: EndExpired},
		"waits for a moment":           {change: waits(time.Second), open: told(closed)},
		"of a fork, whose time is up":  {change: fork, open: told(open), want: EndExpired},
		"missing in the list":          {open: told()},
		"closed in another repository": {open: told(PullRequest{Number: 7, RepositoryID: 99})},
		"another one is closed":        {open: told(PullRequest{Number: 8, RepositoryID: 1234})},
		"GitHub is away":               {open: OpenList{}},
		"no repository for an hour":    {open: OpenList{GoneSince: before(time.Hour)}, want: EndGone},
		"no repository for a while":    {open: OpenList{GoneSince: before(59 * time.Minute)}},
		"no repository, but a push":    {change: func(p *Preview, _ *PreviewPolicy) { p.LastPushAt = before(time.Minute) }, open: OpenList{GoneSince: before(2 * time.Hour)}},
		"old":                          {change: func(p *Preview, _ *PreviewPolicy) { p.CreatedAt = before(72 * time.Hour) }, open: told(open), want: EndExpired},
		"old, GitHub is away":          {change: func(p *Preview, _ *PreviewPolicy) { p.CreatedAt = before(72 * time.Hour) }, want: EndExpired},
		"old, and kept":                {change: func(p *Preview, _ *PreviewPolicy) { p.CreatedAt = before(72 * time.Hour) }, open: told(kept(open))},
		"old, and kept as last seen":   {change: func(p *Preview, _ *PreviewPolicy) { p.CreatedAt, p.Labels = before(72*time.Hour), []string{"keep"} }},
		"old, and kept no more":        {change: func(p *Preview, _ *PreviewPolicy) { p.CreatedAt, p.Labels = before(72*time.Hour), []string{"keep"} }, open: told(open), want: EndExpired},
		"no label keeps":               {change: func(p *Preview, o *PreviewPolicy) { p.CreatedAt, o.KeepLabel = before(72*time.Hour), "" }, open: told(PullRequest{Number: 7, Open: true, Labels: []string{""}}), want: EndExpired},
		"idle":                         {change: func(p *Preview, _ *PreviewPolicy) { p.LastPushAt = before(24 * time.Hour) }, open: told(open), want: EndIdle},
		"idle, and kept":               {change: func(p *Preview, _ *PreviewPolicy) { p.LastPushAt = before(24 * time.Hour) }, open: told(kept(open))},
		"made anew from an old push": {change: func(p *Preview, _ *PreviewPolicy) {
			p.LastPushAt, p.CreatedAt = before(48*time.Hour), before(time.Hour)
		}, open: told(open)},
		"nothing ends by time":           {change: func(p *Preview, o *PreviewPolicy) { p.LastPushAt, *o = before(1000*time.Hour), PreviewPolicy{} }, open: told(open)},
		"closed, and just made":          {change: func(p *Preview, _ *PreviewPolicy) { p.CreatedAt = before(59 * time.Second) }, open: told(closed)},
		"closed, and ending already":     {change: func(p *Preview, _ *PreviewPolicy) { p.Phase = PreviewDestroying }, open: told(closed)},
		"closed, and gone already":       {change: func(p *Preview, _ *PreviewPolicy) { p.Phase = PreviewDestroyed }, open: told(closed)},
		"closed, and nothing came of it": {change: func(p *Preview, _ *PreviewPolicy) { p.Phase = "" }, open: told(closed)},
		"made room, and is closed": {change: func(p *Preview, _ *PreviewPolicy) {
			p.Phase, p.CreatedAt, p.Waiting = PreviewDestroyed, time.Time{}, &Parked{}
		}, open: told(closed), want: EndClosed},
	} {
		p, o := base, policy
		if test.change != nil {
			test.change(&p, &o)
		}
		got := EndAsked
		for _, e := range Sweep(o, []Preview{p}, test.open, now) {
			got = e.Reason
		}
		if got != test.want {
			t.Errorf("%s: got end %q, want %q", name, got, test.want)
		}
	}
}

func TestExpiryIsWhenTheSweepEndsIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		hours := func(name string) time.Duration { return time.Duration(rapid.IntRange(0, 80).Draw(t, name)) * time.Hour }
		p := Preview{
			Line: Line{App: "storefront", Environment: "pr-7"}, Phase: PreviewActive, CreatedAt: now.Add(-hours("made") - time.Hour), LastPushAt: now.Add(-hours("pushed")),
			Fork: rapid.Bool().Draw(t, "fork"), Labels: rapid.SampledFrom([][]string{nil, {"keep"}}).Draw(t, "labels"),
		}
		policy := PreviewPolicy{IdleTTL: hours("idle"), TTL: hours("ttl"), KeepLabel: "keep", Forks: &ForkPolicy{IdleTTL: hours("fork idle"), TTL: hours("fork ttl")}}
		at := p.expires(policy)
		want := !at.IsZero() && !now.Before(at)
		if got := len(Sweep(policy, []Preview{p}, OpenList{}, now)) > 0; got != want {
			t.Fatalf("got an end: %v at %s, though it is told to expire at %s", got, now, at)
		}
	})
}

func TestASweepEndsOnlyWhatItMay(t *testing.T) {
	t.Parallel()
	now := lunch().Add(1000 * time.Hour)
	rapid.Check(t, func(t *rapid.T) {
		ago := func(name string) time.Time {
			return now.Add(-time.Duration(rapid.IntRange(0, 6000).Draw(t, name)) * time.Minute)
		}
		hours := func(name string) time.Duration { return time.Duration(rapid.IntRange(0, 80).Draw(t, name)) * time.Hour }
		p := Preview{
			Line: Line{App: "storefront", Environment: "pr-7"}, RepositoryID: 1234, CreatedAt: ago("created"), LastPushAt: ago("pushed"),
			Phase:  rapid.SampledFrom([]PreviewPhase{"", PreviewActive, PreviewActive, PreviewDestroying, PreviewDestroyed}).Draw(t, "phase"),
			Labels: rapid.SampledFrom([][]string{nil, {"keep"}, {"wake"}, {"no-preview", "keep"}}).Draw(t, "labels"),
		}
		policy := PreviewPolicy{IdleTTL: hours("idle"), TTL: hours("ttl"), KeepLabel: "keep"}
		pull := PullRequest{Number: rapid.IntRange(6, 8).Draw(t, "number"), RepositoryID: rapid.SampledFrom([]int64{0, 1234, 99}).Draw(t, "repository"), Open: rapid.Bool().Draw(t, "open"), Labels: p.Labels}
		open := rapid.SampledFrom([]OpenList{{}, {At: now, Pulls: []PullRequest{pull}}, {GoneSince: now.Add(-2 * time.Hour)}}).Draw(t, "told")
		ends := Sweep(policy, []Preview{p}, open, now)
		if len(ends) == 0 {
			return
		}
		e, kept := ends[0], slices.Contains(p.Labels, "keep")
		allowed := map[EndReason]bool{
			EndClosed:   !pull.Open && pull.Number == 7 && pull.RepositoryID != 99 && !open.At.IsZero(),
			EndUnwanted: slices.Contains(p.Labels, "no-preview") && pull.Open && pull.Number == 7 && pull.RepositoryID != 99 && !open.At.IsZero(),
			EndGone:     !open.GoneSince.IsZero() && p.LastPushAt.Before(now.Add(-time.Hour)),
			EndExpired:  policy.TTL > 0 && now.Sub(p.CreatedAt) >= policy.TTL && !kept,
			EndIdle:     policy.IdleTTL > 0 && now.Sub(p.LastPushAt) >= policy.IdleTTL && !kept,
		}
		if !allowed[e.Reason] || p.Phase != PreviewActive || now.Sub(p.CreatedAt) < time.Minute {
			t.Fatalf("got %s preview %+v ended as %q by %+v of %+v", p.Phase, p, e.Reason, policy, open)
		}
	})
}

// lostClose is a pull request whose close event was lost, with a build in flight, and
// that is opened again after the sweep.
func lostClose(t *testing.T, w *world) map[string]string {
	t.Helper()
	w.beLoud()
	w.allowPreviews()
	w.letSweep()
	named := map[string]run{"opened": pull(1, 0, 1), "pushed": pull(2, 2, 3)}
	digests := map[string]string{}
	for name, r := range named {
		_, digests[name] = envelope(t, r)
		w.tell(t, r)
	}
	w.shut()
	w.wait(5 * time.Minute)
	for w.died() {
		w.wait(5 * time.Minute)
	}
	return digests
}

func TestCloseThatNoEventTells(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		checkLostClose(t, w, lostClose(t, w))
		if n := w.sweeping.looks; n > 6 {
			t.Errorf("got %d looks at GitHub, want one in two minutes", n)
		}
	})
}

func checkLostClose(t *testing.T, w *world, digests map[string]string) {
	t.Helper()
	p := w.pr7()
	if len(w.spaces) != 0 || len(w.releases) != 0 || p.Phase != PreviewDestroyed || len(p.Remains) != 0 {
		t.Errorf("got namespaces %v, %d releases, preview %s with %d remains; want all gone and told", w.spaces, len(w.releases), p.Phase, len(p.Remains))
	}
	if len(p.Destroys) != 1 || p.Destroys[0].Reason != EndClosed || p.Destroys[0].DoneAt.IsZero() || !strings.HasPrefix(p.Destroys[0].Intent, ownEnd) {
		t.Errorf("got destroys %+v, want one of the agent's own, done", p.Destroys)
	}
	for name, digest := range digests {
		if d := w.hub.deployments[digest]; d.State != DeploymentInactive && d.State != "" {
			t.Errorf("deployment of %q: got %s, want inactive", name, d.State)
		}
	}
	if len(w.checks) != len(digests) || len(w.hub.receipts) != len(digests) {
		t.Errorf("got %d check runs and receipts of %d intents, want those of the %d that there were", len(w.checks), len(w.hub.receipts), len(digests))
	}
	c := slices.Collect(maps.Values(w.hub.comments))
	if len(c) != 1 || !strings.Contains(c[0].Body, "the pull request is closed, as GitHub says") || !strings.Contains(c[0].Body, "Gone") {
		t.Errorf("got comments %+v, want one that says why the preview is gone", c)
	}
}

func TestLostCloseWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	dieInEveryCall(t, lostClose, checkLostClose)
}

func TestABuildInFlightDoesNotBringBackWhatASweepEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := sweeps(t)
		w.tell(t, pull(1, 0, 1))
		w.shut()
		w.wait(5 * time.Minute)
		late := pull(2, 1, 0)
		late.issuedAt = w.now()
		_, digest := envelope(t, late)
		w.tell(t, late)
		if c := w.checks[digest]; c.Conclusion != Neutral || len(w.spaces) != 0 {
			t.Errorf("got %s %q and namespaces %v, want it superseded", c.Conclusion, c.Title, w.spaces)
		}
		again := pull(3, 0, 0)
		again.eventAt, again.issuedAt = w.now(), w.now()
		w.mu.Lock()
		w.sweeping.pulls[7] = PullRequest{Number: 7, RepositoryID: 1234, Open: true}
		w.mu.Unlock()
		w.tell(t, again)
		w.wait(5 * time.Minute)
		if p := w.pr7(); p.Phase != PreviewActive || len(w.spaces) != 1 {
			t.Errorf("opened again: got %s, namespaces %v; want it made anew", p.Phase, w.spaces)
		}
	})
}

func TestTimeEndsPreviewsWhileGitHubHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := sweeps(t)
		w.app.PreviewPolicy.IdleTTL = time.Hour
		w.tell(t, pull(1, 0, 1))
		w.sweeping.onPulls = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		w.skip(2 * time.Hour)
		other := push(2, 3, 4)
		_, live := envelope(t, other)
		w.publish(t, other)
		w.wait(20 * time.Second)
		if w.checks[live].Conclusion != Success {
			t.Errorf("while GitHub hangs: got %q for production, want success", w.checks[live].Conclusion)
		}
		w.wait(5 * time.Minute)
		if p := w.pr7(); p.Phase != PreviewDestroyed || p.Destroys[0].Reason != EndIdle || len(w.spaces) != 0 {
			t.Errorf("got %s, destroys %+v, namespaces %v; want it ended because it was idle", p.Phase, p.Destroys, w.spaces)
		}
		rerun := pull(1, 0, 0)
		rerun.attempt, rerun.issuedAt = 2, w.now()
		w.tell(t, rerun)
		if p := w.pr7(); p.Phase != PreviewActive {
			t.Errorf("run again: got %s, want it made anew", p.Phase)
		}
	})
}

func TestRepositoryThatIsGoneForAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := sweeps(t)
		w.tell(t, pull(1, 0, 1))
		blips, looks := 20, 0
		w.sweeping.onPulls = func(context.Context) error {
			if looks++; looks == blips { // GitHub itself is ill for a moment: the hour begins anew
				return errors.New("502 Bad Gateway")
			}
			return ErrNoRepository
		}
		w.wait(90 * time.Minute)
		if p := w.pr7(); p.Phase != PreviewActive {
			t.Errorf("after 40 and 50 minutes: got %s, want it there", p.Phase)
		}
		w.wait(70 * time.Minute) // another process, which knows nothing of that
		if p := w.pr7(); p.Phase != PreviewDestroyed || p.Destroys[0].Reason != EndGone {
			t.Errorf("after more than an hour without an answer: got %s", p.Phase)
		}
	})
}

func TestLabelsAreWrittenDownWhenTheyChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := sweeps(t)
		w.app.PreviewPolicy.KeepLabel, w.app.PreviewPolicy.WakeLabel = "keep", "wake"
		w.tell(t, pull(1, 0, 1))
		w.sweeping.pulls[7] = PullRequest{Number: 7, Open: true, Labels: []string{"bug", "wake", "keep"}}
		w.wait(3 * time.Minute)
		p := w.pr7()
		if !slices.Equal(p.Labels, []string{"keep", "wake"}) || p.LookedAt.IsZero() {
			t.Errorf("got labels %v, looked at %s; want those that mean something", p.Labels, p.LookedAt)
		}
		w.wait(50 * time.Minute)
		if again := w.pr7(); again.Version != p.Version {
			t.Errorf("got record version %s within 50 minutes after %s, want no write without news", again.Version, p.Version)
		}
		w.wait(15 * time.Minute)
		if again := w.pr7(); !again.LookedAt.After(p.LookedAt) {
			t.Error("an hour later: got no newer look, want one")
		}
	})
}
