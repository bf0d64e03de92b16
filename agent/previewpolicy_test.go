package agent

import (
	"strings"
	"testing"

	"github.com/inhaul/inhaul/intent"
)

// askedBy is what pull request 7 asks for, changed.
func askedBy(tb testing.TB, changes ...func(*intent.Predicate)) intent.Verified {
	tb.Helper()
	r := pull(1, 0, 1)
	r.change = func(p *intent.Predicate) {
		pullRequest(7)(p)
		for _, change := range changes {
			change(p)
		}
	}
	return verified(tb, r)
}

func ends(p *intent.Predicate) { p.Kind, p.Spec = intent.Destroy, nil }

func merged(p *intent.Predicate) {
	p.Source.Ref = "refs/heads/main"
	p.Source.WorkflowRef = "acme/storefront/.github/workflows/deploy.yml@refs/heads/main"
}

func TestPolicyAllowsPreviews(t *testing.T) {
	t.Parallel()
	of := func(workflows ...string) func(*App) {
		return func(a *App) { a.Rules[2].Workflows = workflows }
	}
	for name, test := range map[string]struct {
		app    func(*App)
		asks   []func(*intent.Predicate)
		space  string
		number int
	}{
		"a pull request":                                       {nil, nil, "storefront-pr-7", 7},
		"of a workflow that the rule names":                    {of("acme/storefront/.github/workflows/deploy.yml@refs/pull/*/merge"), nil, "storefront-pr-7", 7},
		"one that is closed":                                   {nil, []func(*intent.Predicate){ends}, "", 7},
		"one that is merged":                                   {nil, []func(*intent.Predicate){ends, merged}, "", 7},
		"one that is merged, of a workflow by its name":        {of("acme/storefront/.github/workflows/deploy.yml@refs/pull/*/merge"), []func(*intent.Predicate){ends, merged}, "", 7},
		"one that is closed, with previews switched off since": {func(a *App) { a.PreviewPolicy = nil }, []func(*intent.Predicate){ends}, "", 7},
		"a rule that names the event too":                      {func(a *App) { a.Rules[2].Events = []string{"push", "pull_request"} }, nil, "storefront-pr-7", 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := previewing(t).app
			if test.app != nil {
				test.app(&app)
			}
			grant, denied := judge(t, app, askedBy(t, test.asks...))
			if denied != nil || grant.Rule != "pull requests" || grant.Environment.PullRequest != test.number || grant.Environment.Namespace != test.space || grant.Environment.Production {
				t.Errorf("got %+v, %v; want namespace %q", grant, denied, test.space)
			}
		})
	}
}

func TestPolicyDeniesPreviews(t *testing.T) {
	t.Parallel()
	type asks = []func(*intent.Predicate)
	event := func(event string) func(*intent.Predicate) {
		return func(p *intent.Predicate) { p.Source.Event = event }
	}
	for name, test := range map[string]struct {
		app  func(*App)
		asks asks
		rule string
		want string
	}{
		"an App without previews":             {func(a *App) { a.PreviewPolicy = nil }, nil, "policy: previews", "spec.previews"},
		"an App without a rule for them":      {func(a *App) { a.Rules = a.Rules[:2] }, nil, "policy: environment", "pr-7"},
		"another number than the environment": {nil, asks{func(p *intent.Predicate) { p.Source.PullRequest = 8 }}, "policy: pull request", "7"},
		"no number":                           {nil, asks{func(p *intent.Predicate) { p.Source.PullRequest = 0 }}, "policy: pull request", "7"},
		"another number than the token's ref": {nil, asks{func(p *intent.Predicate) { p.Source.Ref = pullRequestRef(8) }}, "policy: ref", "refs/pull/7/merge"},
		"a deploy of what is merged":          {nil, asks{merged}, "policy: ref", "refs/heads/main"},
		"the end of another one":              {nil, asks{ends, func(p *intent.Predicate) { p.Source.Ref = pullRequestRef(8) }}, "policy: ref", "refs/pull/7/merge"},
		"a push":                              {func(a *App) { a.Rules[2].Events, a.Rules[2].Refs = []string{"push"}, []string{"refs/heads/*"} }, asks{event("push"), merged}, "policy: event", "it alone makes previews"},
		"an event that trusts the base":       {func(a *App) { a.Rules[2].Events = []string{"pull_request_target"} }, asks{event("pull_request_target")}, "policy: event", "it alone makes previews"},
		"a rule of another event":             {func(a *App) { a.Rules[2].Events = []string{"push"} }, nil, "policy: event", "push"},
		"another repository":                  {nil, asks{func(p *intent.Predicate) { p.Source.RepositoryID = 1 }}, "policy: repository ID", "1234"},
		"the end of production":               {nil, asks{ends, func(p *intent.Predicate) { p.Environment = "production" }}, "policy: event", "push"},
		"a host name of the app's own":        {nil, asks{hosts("shop.example.com")}, "policy: domains", "shop.example.com"},
		"production":                          {func(a *App) { a.Rules[2].Environments = []string{"pr-*", "production"} }, asks{func(p *intent.Predicate) { p.Environment = "production" }}, "policy: event", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := previewing(t).app
			if test.app != nil {
				test.app(&app)
			}
			_, denied := judge(t, app, askedBy(t, test.asks...))
			if denied == nil || denied.Rule != test.rule || !strings.Contains(denied.Error(), test.want) {
				t.Errorf("got %+v, want %q with %q", denied, test.rule, test.want)
			}
		})
	}
}

func TestRuleForPreviewsIsForNothingElse(t *testing.T) {
	t.Parallel()
	app := previewing(t).app
	app.Environments = append(app.Environments, Environment{Name: "pr-x", Namespace: "x"})
	if _, denied := judge(t, app, askedBy(t, func(p *intent.Predicate) { p.Environment = "pr-x" })); denied == nil || denied.Field != "environment" {
		t.Errorf("got %v, want a declared environment denied that only looks like a preview", denied)
	}
}

func TestTemplatesOfPreviews(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*App)
		want   string
	}{
		"as they are":                      {func(*App) {}, ""},
		"a namespace that all would share": {func(a *App) { a.PreviewPolicy.Namespace = "previews" }, "{number}"},
		"a host that all would share":      {func(a *App) { a.PreviewPolicy.Host = "preview.example.com" }, "{number}"},
		"a namespace of Kubernetes":        {func(a *App) { a.PreviewPolicy.Namespace = "kube-{number}" }, "kube-"},
		"a namespace with capitals":        {func(a *App) { a.PreviewPolicy.Namespace = "PR-{number}" }, "DNS"},
		"a namespace that is too long":     {func(a *App) { a.PreviewPolicy.Namespace = strings.Repeat("x", 54) + "{number}" }, "63"},
		"a host with a slash":              {func(a *App) { a.PreviewPolicy.Host = "x.y/{number}" }, "host name"},
		"another placeholder":              {func(a *App) { a.PreviewPolicy.Namespace = "{env}-{number}" }, "63"},
		"a declared namespace":             {func(a *App) { a.Environments[0].Namespace = "storefront-pr-12" }, `namespace of environment "production"`},
		"a declared name":                  {func(a *App) { a.Environments[0].Name = "pr-12" }, "made from pull requests"},
		"a declared name that is alike":    {func(a *App) { a.Environments[0].Name = "pr-012" }, ""},
	} {
		app := previewing(t).app
		test.change(&app)
		_, err := CompilePolicy(app)
		want := strings.Replace(test.want, "DNS", "lower-case", 1)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

func TestPreviewOfAnotherRepository(t *testing.T) {
	t.Parallel()
	app := previewing(t).app
	at := func(environment string, phase PreviewPhase, id int64) Preview {
		return Preview{Line: Line{App: "storefront", Environment: environment}, Phase: phase, RepositoryID: id, Repository: "acme/other"}
	}
	waits := at("pr-5", PreviewWaiting, 99)
	waits.Waiting = &Parked{}
	app = app.With([]Preview{at("pr-1", PreviewActive, 1234), at("pr-2", PreviewDestroyed, 99), at("pr-3", PreviewDestroying, 99), waits})
	source := intent.Source{Repository: "acme/storefront", RepositoryID: 1234}
	for environment, want := range map[string]string{"pr-1": "", "pr-2": "", "pr-3": "acme/other", "pr-4": "", "pr-5": "acme/other"} {
		denied := app.taken(Environment{Name: environment}, source)
		if want == "" && denied != nil || want != "" && (denied == nil || !strings.Contains(denied.Error(), want)) {
			t.Errorf("%s: got %v, want %q", environment, denied, want)
		}
	}
}
