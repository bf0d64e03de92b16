package agent

import (
	"crypto/rand"
	"crypto/rsa"
	"testing"
	"time"

	"github.com/inhaul/inhaul/intent"
)

func TestForksHaveRulesOfTheirOwn(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	class := func(a *App) { a.PreviewPolicy.Forks = &ForkPolicy{Heads: []string{"fork/*"}} }
	rule := func(a *App) {
		class(a)
		a.Rules = append(a.Rules, a.Rules[2])
		a.Rules[3].Name, a.Rules[3].Forks = "forks", true
	}
	alone := func(a *App) { class(a); a.Rules[2].Forks = true }
	for name, test := range map[string]struct {
		app  func(*App)
		head string
		end  bool
		want string // the rule that lets it in; empty: none
	}{
		"a branch":                                     {rule, "change-7", false, "pull requests"},
		"the code of a fork":                           {rule, "fork/pr-7", false, "forks"},
		"the code of a fork, without a rule":           {class, "fork/pr-7", false, ""},
		"a branch, with a rule for forks alone":        {alone, "change-7", false, ""},
		"a branch that only looks like it":             {rule, "a/fork/pr-7", false, "pull requests"},
		"the code of a fork, without such a class":     {func(*App) {}, "fork/pr-7", false, "pull requests"},
		"the end of a preview of a fork":               {class, "fork/pr-7", true, "pull requests"},
		"a rule for forks, where there is no class":    {func(a *App) { a.Rules[2].Forks = true }, "fork/pr-7", false, ""},
		"a branch whose token says nothing of itself":  {rule, "", false, "pull requests"},
		"the end of a branch, by a rule for forks too": {alone, "change-7", true, "pull requests"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := previewing(t).app
			test.app(&app)
			asked := pull(1, 0, 1)
			if test.end {
				asked = closePull(1, 0, 1)
			}
			grant, denied := judge(t, app, runByToken(t, key, asked, map[string]any{"head_ref": test.head}))
			if (denied == nil) != (test.want != "") || grant.Rule != test.want {
				t.Errorf("got %+v, %v; want it let in by %q", grant, denied, test.want)
			}
			if denied != nil && denied.Field != "pull request branch" {
				t.Errorf("got %v, want a denial about the branch", denied)
			}
		})
	}
}

func TestAForkStaysOne(t *testing.T) {
	t.Parallel()
	w := previewing(t)
	w.app.PreviewPolicy.Forks = &ForkPolicy{Heads: []string{"fork/*"}}
	a := New(Ports{Apps: w, Previews: w}, Config{Now: w.now})
	r := Release{Line: Line{App: w.app.Name, Environment: "pr-7"}, Evidence: intent.Evidence{Claims: map[string]string{"head_ref": "fork/pr-7"}}}
	for _, scheme := range []string{"github-oidc", requestScheme} {
		r.Evidence.Scheme = scheme
		if err := a.openPreview(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		r.Evidence.Claims = nil // who asks in the cluster has other ones
	}
	if !w.pr7().Fork {
		t.Error("what somebody rolled back in the cluster is no fork's code any more")
	}
}

func TestRulesAreAskedOfWhatWaited(t *testing.T) {
	t.Parallel()
	r := Release{
		Line: Line{App: "storefront", Environment: "pr-7"}, Rule: "pull requests",
		Source: intent.Source{RepositoryID: 1234, Ref: pullRequestRef(7)},
	}
	for name, test := range map[string]struct {
		change func(*App)
		fork   bool
		scheme string
		denied bool
	}{
		"as it was":                         {},
		"the rule is gone":                  {change: func(a *App) { a.Rules = a.Rules[:2] }, denied: true},
		"it is for another repository":      {change: func(a *App) { a.Rules[2].RepositoryID = 99 }, denied: true},
		"it is for other refs":              {change: func(a *App) { a.Rules[2].Refs = []string{"refs/pull/8/merge"} }, denied: true},
		"it is about production now":        {change: func(a *App) { a.Rules[2].Environments = []string{"production"} }, denied: true},
		"it is for forks now":               {change: func(a *App) { a.Rules[2].Forks = true }, denied: true},
		"a fork's, by a rule that was that": {fork: true, denied: true},
		"asked for in the cluster":          {change: func(a *App) { a.Rules = a.Rules[:2] }, scheme: requestScheme},
	} {
		app := previewing(t).app
		if test.change != nil {
			test.change(&app)
		}
		policy, err := CompilePolicy(app)
		if err != nil {
			t.Fatal(err)
		}
		r.Evidence.Scheme = test.scheme
		if denied := policy.judgeRule(r, Environment{Name: "pr-7", PullRequest: 7}, test.fork); (denied != nil) != test.denied {
			t.Errorf("%s: got %v, want a denial: %v", name, denied, test.denied)
		}
	}
}

func TestForksHaveLess(t *testing.T) {
	t.Parallel()
	p := PreviewPolicy{Quota: Quota{CPU: "4"}, TTL: time.Hour, IdleTTL: time.Hour, Max: 3}
	if got := p.Of(Preview{Fork: true}); got.Quota.CPU != "4" {
		t.Errorf("got %+v where there is no class", got)
	}
	p.Forks = &ForkPolicy{Quota: Quota{CPU: "1"}, TTL: time.Minute}
	if got := p.Of(Preview{}); got.Quota.CPU != "4" || got.TTL != time.Hour {
		t.Errorf("got %+v of a branch", got)
	}
	if got := p.Of(Preview{Fork: true}); got.Quota.CPU != "1" || got.TTL != time.Minute || got.IdleTTL != 0 || got.Max != 3 {
		t.Errorf("got %+v of a fork", got)
	}
}

func TestPreviewOfAForkIsOnRecord(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]bool{"fork/pr-7": true, "change-7": false, "": false} {
		w := previewing(t)
		w.app.PreviewPolicy.Forks = &ForkPolicy{Heads: []string{"fork/*"}}
		a := New(Ports{Apps: w, Previews: w}, Config{Now: w.now})
		r := Release{Line: Line{App: w.app.Name, Environment: "pr-7"}, Evidence: intent.Evidence{Claims: map[string]string{"head_ref": head}}}
		if err := a.openPreview(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if got := w.pr7().Fork; got != want {
			t.Errorf("%q: got a fork: %v, want %v", head, got, want)
		}
	}
}
